// A client that sends bytes as a test wrote them and keeps what comes back: for what no HTTP client would send, and for
// looking at what really was on the wire. It waits for bytes, never for time.

import net from "node:net";
import tls from "node:tls";

export type Target =
  | number
  | { readonly path: string }
  | { readonly port: number; readonly tls: tls.ConnectionOptions };

export interface RawAnswer {
  readonly status: number;
  /** The lines of the head as they came, without the status line. */
  readonly lines: readonly string[];
  /** By lower-case name; lines of one name joined by ", ". */
  readonly fields: ReadonlyMap<string, string>;
  /** Decoded; complete. */
  readonly body: string;
  readonly trailers: readonly string[];
}

export class RawClient {
  readonly socket: net.Socket;
  /** All that came, as latin1. */
  received = "";
  receivedBytes = 0;
  /** The other side has sent FIN. */
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | null = null;
  /** Only count what comes: for bodies that are too large to keep. */
  keep = true;
  /** What `answer` has used up. */
  #used = 0;
  #changed = Promise.withResolvers<void>();

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      if (this.keep) this.received += chunk.toString("latin1");
      this.#wake();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#wake();
    });
    socket.on("error", (error) => {
      this.error = error;
    });
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Rejects when it cannot be connected. A half that the other side has closed stays open on ours. */
  static async connect(target: Target): Promise<RawClient> {
    const where = typeof target === "number" ? { port: target, host: "127.0.0.1" } : { host: "127.0.0.1", ...target };
    const socket =
      "tls" in where
        ? tls.connect({ ...where.tls, port: where.port, host: "127.0.0.1" })
        : net.connect({ ...where, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("tls" in where ? "secureConnect" : "connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  /** A string is sent as latin1. */
  send(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    return this;
  }

  /** Fails when the connection closes before. */
  async until(isDone: () => boolean, what: string): Promise<void> {
    while (!isDone()) {
      if (this.closed)
        throw new Error(`closed (${this.error?.code ?? "no error"}) before ${what}; had: ${this.#tail()}`);
      await this.#changed.promise;
    }
  }

  untilText(text: string): Promise<void> {
    return this.until(() => this.received.includes(text, this.#used), JSON.stringify(text));
  }

  async untilEnded(): Promise<void> {
    while (!this.ended && !this.closed) await this.#changed.promise;
  }

  async untilClosed(): Promise<void> {
    while (!this.closed) await this.#changed.promise;
  }

  /** The next complete answer, interim ones included. `toHead`: the request was HEAD. */
  async answer(toHead = false): Promise<RawAnswer> {
    let answer = parse(this.received, this.#used, toHead, false);
    while (answer === null) {
      if (this.ended || this.closed) {
        answer = parse(this.received, this.#used, toHead, true);
        if (answer !== null) break;
        throw new Error(`no complete answer before the end; had: ${this.#tail()}`);
      }
      await this.#changed.promise;
      answer = parse(this.received, this.#used, toHead, false);
    }
    this.#used = answer.end;
    return answer;
  }

  /** What came behind the last answer. */
  get rest(): string {
    return this.received.slice(this.#used);
  }

  /** TCP RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  #tail(): string {
    return JSON.stringify(this.rest.slice(-500));
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }
}

type Parsed = RawAnswer & { readonly end: number };

/** The answer at `from`; null when it is incomplete. `over`: nothing more will come. */
function parse(text: string, from: number, toHead: boolean, over: boolean): Parsed | null {
  const headEnd = text.indexOf("\r\n\r\n", from);
  if (headEnd < 0) return null;
  const [statusLine = "", ...lines] = text.slice(from, headEnd).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(statusLine)?.[1] ?? Number.NaN);
  const fields = new Map<string, string>();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([^:]*):[ \t]*(.*)$/.exec(line) ?? [];
    const before = fields.get(name.toLowerCase());
    fields.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  const start = headEnd + 4;
  const made = (body: string, end: number, trailers: string[] = []) => ({ status, lines, fields, body, trailers, end });
  if (toHead || status < 200 || status === 204 || status === 304) return made("", start);
  if (fields.get("transfer-encoding") === "chunked") {
    const chunked = parseChunks(text, start);
    return chunked === null ? null : made(chunked.body, chunked.end, chunked.trailers);
  }
  const length = fields.get("content-length");
  if (length === undefined) return over ? made(text.slice(start), text.length) : null;
  const end = start + Number(length);
  return text.length < end ? null : made(text.slice(start, end), end);
}

function parseChunks(text: string, from: number): { body: string; end: number; trailers: string[] } | null {
  let body = "";
  let at = from;
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (text.length < at + size + 2) return null;
    body += text.slice(at, at + size);
    at += size + 2;
  }
  const trailers: string[] = [];
  for (;;) {
    const lineEnd = text.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const line = text.slice(at, lineEnd);
    at = lineEnd + 2;
    if (line === "") return { body, end: at, trailers };
    trailers.push(line);
  }
}
