/**
 * The right of this thread to fetch one answer, and what it makes of it: a head for the keeper, a body for readers, and one end. It
 * decides whether what came is what the head said; whether it is stored is the keeper's to decide.
 */
import { ProxyError } from "../../core/errors.ts";
import type { FieldBlock } from "../../core/fields.ts";
import type { AnswerHead, CachedAnswer, Fill, FillOptions } from "../cache.ts";
import { encodeRecord } from "../keeping/record.ts";
import type { BodyFile, BodyId, CacheDisk, EntryId, GrowingFile } from "../ports.ts";
import { GrowingBody, type GrowingBodyOwner } from "./growing-body.ts";
import { isShortOfFiles, type OpenFiles } from "./open-files.ts";
import { PROGRESS_STATES, type ProgressTable } from "./progress-table.ts";
import type { LinkToKeeper, Unkept } from "./protocol.ts";
import { StoredAnswer } from "./stored-answers.ts";
import { fetchIdOf, unitedNames, valuesOf } from "./variants.ts";

export interface ThreadFillParts {
  readonly link: LinkToKeeper;
  readonly disk: CacheDisk;
  readonly openFiles: OpenFiles;
  readonly table: ProgressTable;
  readonly objectBytesMax: number;
}

export interface Granted {
  readonly flight: number;
  readonly row: number;
  readonly body: BodyId;
}

export class ThreadFill implements Fill, GrowingBodyOwner {
  readonly #parts: ThreadFillParts;
  readonly #granted: Granted;
  readonly #key: string;
  /** The fields of the request that fetches, its own copy. */
  readonly #request: FieldBlock;
  #state: "waiting" | "flowing" | "over" = "waiting";
  /** By which fields answers of the key vary. */
  names: readonly string[];
  /** Under which it is fetched. */
  id: EntryId;
  /** null: there is no head. */
  answer: CachedAnswer | null = null;
  #body: GrowingBody | null = null;
  onDrain: (() => void) | null = null;
  onUnwanted: (() => void) | null = null;

  /** `names`, `id`: as it was asked for. */
  constructor(
    parts: ThreadFillParts,
    granted: Granted,
    key: string,
    request: FieldBlock,
    names: readonly string[],
    id: EntryId,
  ) {
    this.#parts = parts;
    this.#granted = granted;
    this.#key = key;
    this.#request = request;
    this.names = names;
    this.id = id;
  }

  get isFull(): boolean {
    return this.#state === "flowing" && this.#body!.isFull;
  }

  get writtenBytes(): number {
    return this.#body?.writtenBytes ?? 0;
  }

  /** What somebody gets from its beginning who comes now; null: he cannot. */
  get joinable(): CachedAnswer | null {
    return this.#body?.isReadable === true ? this.answer : null;
  }

  begin(head: AnswerHead, options: FillOptions = {}): CachedAnswer {
    if (this.#state !== "waiting") throw new Error("a fill begins once");
    this.#state = "flowing";
    const { link, objectBytesMax } = this.#parts;
    const key = this.#key;
    this.names = unitedNames(this.names, head.vary);
    const values = valuesOf(this.#request, this.names);
    this.id = fetchIdOf(key, this.#request, this.names);
    this.#request.release();
    const { start = 0, end = head.bodyBytes, bytesMax = objectBytesMax, endsUnread = false } = options;
    const longest = Math.min(bytesMax, objectBytesMax);
    const body = new GrowingBody(this, head.bodyBytes, start, end, longest);
    body.endsUnread = endsUnread;
    this.#body = body;
    this.answer = { version: 0, head, body };
    const record = encodeHead(key, head);
    const { id, names } = this;
    link.send({ kind: "begin", flight: this.#granted.flight, id, record, names, values, start, end });
    if (end - start > longest) body.stopKeeping(null);
    return this.answer;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#state !== "flowing") return;
    const body = this.#body!;
    if (body.end >= 0 && body.available + end - start > body.end) {
      return this.fail(new ProxyError("http_response_incomplete", "the body is longer than its head said"));
    }
    body.write(bytes, start, end);
  }

  end(): void {
    if (this.#state !== "flowing") return;
    const body = this.#body!;
    if (body.end >= 0 && body.available !== body.end) {
      return this.fail(new ProxyError("http_response_incomplete", "the body is shorter than its head said"));
    }
    this.#state = "over";
    body.complete();
  }

  refresh(stored: CachedAnswer, head: AnswerHead): void {
    if (this.#state !== "waiting") return;
    if (!(stored instanceof StoredAnswer)) return this.release("failed", 0);
    const { names } = this;
    const values = valuesOf(this.#request, names);
    this.#over();
    const { id, version, key } = stored;
    const refreshed = { id, version, record: encodeHead(key, head) };
    this.#parts.link.send({ kind: "refresh", flight: this.#granted.flight, refreshed, names, values });
  }

  release(reason: "uncacheable" | "failed", passMs: number): void {
    if (this.#state === "flowing") {
      return this.fail(new ProxyError("http_response_incomplete", "the body was given up"));
    }
    if (this.#state !== "waiting") return;
    this.#over();
    this.#parts.link.send({ kind: "release", flight: this.#granted.flight, reason, passMs });
  }

  /** Nobody wants it any more: somebody else may fetch it. */
  abandon(): void {
    if (this.#state !== "waiting") return;
    this.#over();
    this.#parts.link.send({ kind: "release", flight: this.#granted.flight, reason: "failed", passMs: null });
  }

  fail(error: ProxyError): void {
    if (this.#state === "waiting") return this.release("failed", 0);
    if (this.#state === "over") return;
    this.#over();
    const { link, table } = this.#parts;
    table.settle(this.#granted.row, PROGRESS_STATES.broken);
    link.send({ kind: "fail", flight: this.#granted.flight });
    this.#body!.fail(error);
  }

  /** Another thread reads it too. */
  share(): void {
    this.#body?.share();
  }

  /** It is slow, or its place is needed. */
  giveUp(): void {
    if (this.#state === "flowing" && this.#parts.table.readersOf(this.#granted.row) === 0) this.unwanted();
  }

  /** The keeper asks nothing more of it. */
  settle(isDiscarded: boolean): void {
    this.#body?.settle(!isDiscarded);
  }

  createFile(): GrowingFile {
    const { disk, openFiles } = this.#parts;
    return openFiles.open(() => disk.createBody(this.#granted.body));
  }

  reopen(): BodyFile {
    const { disk, openFiles } = this.#parts;
    return openFiles.open(() => disk.openBody(this.#granted.body));
  }

  onProgress(written: number, readable: number): void {
    this.#parts.table.publish(this.#granted.row, written, readable);
  }

  onFile(): void {
    this.#parts.link.send({ kind: "file", flight: this.#granted.flight });
  }

  onUnkept(error: Error | null): void {
    const { link, table } = this.#parts;
    table.settle(this.#granted.row, PROGRESS_STATES.broken);
    link.send({ kind: "unkept", flight: this.#granted.flight, why: whyUnkept(error), trouble: error?.message ?? "" });
  }

  onWhole(): void {
    const { link, table } = this.#parts;
    const { flight, row } = this.#granted;
    const body = this.#body!;
    if (body.isKept && body.hasFile) table.settle(row, PROGRESS_STATES.complete);
    const { start, end, bytes: bodyBytes, checksums } = body;
    const inline = body.isKept ? body.inline : null;
    link.send({ kind: "end", flight, start, end, bodyBytes, inline, checksums });
  }

  onDrained(): void {
    this.onDrain?.();
  }

  unwanted(): void {
    this.onUnwanted?.();
  }

  onReader(change: 1 | -1): void {
    // Behind its end the row may be another fill's at any time.
    if (this.#state === "flowing") this.#parts.table.countReader(this.#granted.row, change);
  }

  #over(): void {
    this.#state = "over";
    this.#request.release();
  }
}

function whyUnkept(error: Error | null): Unkept {
  if (error === null) return "too-large";
  return isShortOfFiles(error) ? "short-of-files" : "disk";
}

/** A head, as a record without its body: for the keeper, and for threads that follow. */
export function encodeHead(key: string, head: AnswerHead): Uint8Array {
  const body = { kind: "inline", start: 0, end: 0, bytes: EMPTY } as const;
  return encodeRecord({ kind: "answer", key, variant: "", version: 0, slot: 0, purges: 0, head, body });
}

const EMPTY = Buffer.alloc(0);
