// Reads HTTP/1.1 messages one after the other, for the models of the simulation. It shares no line with the proxy's own
// codec, so that a mistake there is not made here too, and it takes nothing but the one form that the proxy must write.

import assert from "node:assert/strict";

export interface Head {
  readonly startLine: string;
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, readonly string[]>;
}

/** How the owner of a reader says the body is framed; "switch": what follows is no HTTP any more. */
export type Framing =
  | { readonly kind: "none" | "chunked" | "close" | "switch" }
  | { readonly kind: "length"; bytes: number };

export interface MessageOwner {
  /** A head is complete; says what follows it. */
  onHead(head: Head): Framing;
  onBody(bytes: Buffer): void;
  /** The message is complete. */
  onEnd(trailers: ReadonlyMap<string, readonly string[]>): void;
  /** Bytes behind a head that was a "switch". */
  onRaw(bytes: Buffer): void;
}

type State = "head" | "length" | "size" | "data" | "dataEnd" | "trailers" | "close" | "switch";

const NO_FIELDS: ReadonlyMap<string, readonly string[]> = new Map();

export class MessageReader {
  readonly #owner: MessageOwner;
  #bytes = Buffer.alloc(0);
  #state: State = "head";
  #left = 0;

  constructor(owner: MessageOwner) {
    this.#owner = owner;
  }

  /** In the middle of a message that has begun. */
  get midMessage(): boolean {
    return this.#state !== "head" || this.#bytes.length > 0;
  }

  /** The body ends with the connection. */
  get untilClose(): boolean {
    return this.#state === "close";
  }

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#bytes, bytes]);
    while (this.#bytes.length > 0 && this.#step()) {}
  }

  /** The peer's FIN: completes a message that ends with the connection. */
  end(): void {
    if (this.#state !== "close") return;
    this.#state = "head";
    this.#owner.onEnd(NO_FIELDS);
  }

  /** False: more bytes are needed. */
  #step(): boolean {
    switch (this.#state) {
      case "head": {
        const head = this.#takeThrough("\r\n\r\n");
        if (head === null) return false;
        const [startLine = "", ...lines] = head.slice(0, -4).split("\r\n");
        return this.#begin(this.#owner.onHead({ startLine, fields: fieldsOf(lines) }));
      }
      case "length":
      case "data": {
        const part = this.#bytes.subarray(0, this.#left);
        this.#left -= part.length;
        this.#bytes = this.#bytes.subarray(part.length);
        this.#owner.onBody(part);
        if (this.#left > 0) return false;
        if (this.#state === "data") this.#state = "dataEnd";
        else this.#complete(NO_FIELDS);
        return true;
      }
      case "size": {
        const line = this.#takeThrough("\r\n");
        if (line === null) return false;
        assert.match(line, /^[0-9a-fA-F]{1,8}\r\n$/, "the size of a chunk");
        this.#left = Number.parseInt(line, 16);
        this.#state = this.#left === 0 ? "trailers" : "data";
        return true;
      }
      case "dataEnd":
        if (this.#bytes.length < 2) return false;
        assert.equal(this.#bytes.toString("latin1", 0, 2), "\r\n", "the end of a chunk");
        this.#bytes = this.#bytes.subarray(2);
        this.#state = "size";
        return true;
      case "trailers": {
        if (this.#bytes.length >= 2 && this.#bytes.toString("latin1", 0, 2) === "\r\n") {
          this.#bytes = this.#bytes.subarray(2);
          this.#complete(NO_FIELDS);
          return true;
        }
        const lines = this.#takeThrough("\r\n\r\n");
        if (lines === null) return false;
        this.#complete(fieldsOf(lines.slice(0, -4).split("\r\n")));
        return true;
      }
      case "close":
        this.#owner.onBody(this.#takeAll());
        return true;
      case "switch":
        this.#owner.onRaw(this.#takeAll());
        return true;
    }
  }

  #begin(framing: Framing): boolean {
    switch (framing.kind) {
      case "none":
        this.#complete(NO_FIELDS);
        break;
      case "length":
        this.#left = framing.bytes;
        this.#state = "length";
        if (framing.bytes === 0) this.#complete(NO_FIELDS);
        break;
      case "chunked":
        this.#state = "size";
        break;
      default:
        this.#state = framing.kind;
    }
    return true;
  }

  #complete(trailers: ReadonlyMap<string, readonly string[]>): void {
    this.#state = "head";
    this.#owner.onEnd(trailers);
  }

  #takeAll(): Buffer {
    const bytes = this.#bytes;
    this.#bytes = Buffer.alloc(0);
    return bytes;
  }

  #takeThrough(mark: string): string | null {
    const at = this.#bytes.indexOf(mark);
    if (at < 0) return null;
    const text = this.#bytes.toString("latin1", 0, at + mark.length);
    this.#bytes = this.#bytes.subarray(at + mark.length);
    return text;
  }
}

function fieldsOf(lines: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*$/.exec(line);
    assert.ok(match !== null, `a field line: ${JSON.stringify(line)}`);
    const name = match[1]!.toLowerCase();
    fields.set(name, [...(fields.get(name) ?? []), match[2]!]);
  }
  return fields;
}

/** The one value of a field that must not occur twice; null when it is absent. */
export function single(head: Head, name: string): string | null {
  const values = head.fields.get(name) ?? [];
  assert.ok(values.length <= 1, `${name} occurs ${values.length} times`);
  return values[0] ?? null;
}

/** The framing that Content-Length and Transfer-Encoding announce; `otherwise` when neither is there. */
export function announcedFraming(head: Head, otherwise: "none" | "close"): Framing {
  const length = single(head, "content-length");
  const coding = single(head, "transfer-encoding");
  assert.ok(length === null || coding === null, "both Content-Length and Transfer-Encoding");
  if (coding !== null) {
    assert.equal(coding.toLowerCase(), "chunked");
    return { kind: "chunked" };
  }
  if (length === null) return { kind: otherwise };
  assert.match(length, /^\d+$/);
  return { kind: "length", bytes: Number(length) };
}
