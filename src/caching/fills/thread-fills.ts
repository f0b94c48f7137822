/**
 * What a thread asks the keeper for, and what it was given: asks that wait, fills of its own, fills of other threads that it follows.
 * The keeper decides; here an answer of another variant than was asked for is told apart, and each ask is answered once.
 */
import { FieldBlock } from "../../core/fields.ts";
import type { Clock } from "../../core/ports.ts";
import type { AcquireHandler, CachedAnswer, PassReason, PendingAcquire } from "../cache.ts";
import { decodeRecord } from "../keeping/record.ts";
import type { BodyFile, BodyId, CacheDisk, EntryId } from "../ports.ts";
import { FollowedBody } from "./followed-body.ts";
import type { OpenFiles } from "./open-files.ts";
import { PassMemory } from "./pass-memory.ts";
import { PROGRESS_STATES, type ProgressTable } from "./progress-table.ts";
import type { FollowedFill, LinkToKeeper, ToThread } from "./protocol.ts";
import type { Place } from "./stored-answers.ts";
import { ThreadFill } from "./thread-fill.ts";
import { fetchIdOf, NO_NAMES, unitedNames } from "./variants.ts";

/** So often an ask may learn that what is fetched is not for it. Each time it knows better what to ask for. */
const TURNS_MAX = 4;
/** What is remembered here of what is to be passed; the keeper remembers more. */
const PASSES_MAX = 8192;

export interface ThreadFillsParts {
  readonly link: LinkToKeeper;
  readonly disk: CacheDisk;
  readonly openFiles: OpenFiles;
  readonly clock: Clock;
  readonly table: ProgressTable;
  readonly objectBytesMax: number;
  /** Where a request's answer would be found. */
  readonly placeOf: (key: string, request: FieldBlock) => Place;
}

/** A request that waits for the keeper's word. */
class Ask implements PendingAcquire {
  readonly number: number;
  readonly key: string;
  /** Its own copy: the client may be gone when it is needed. */
  readonly request: FieldBlock;
  readonly seen: number;
  readonly isPart: boolean;
  readonly handler: AcquireHandler;
  readonly #onCancel: (ask: Ask) => void;
  names: readonly string[] = NO_NAMES;
  id: EntryId = "";
  turns = 0;

  constructor(
    number: number,
    key: string,
    request: FieldBlock,
    seen: number,
    isPart: boolean,
    handler: AcquireHandler,
    onCancel: (ask: Ask) => void,
  ) {
    this.number = number;
    this.key = key;
    this.request = request;
    this.seen = seen;
    this.isPart = isPart;
    this.handler = handler;
    this.#onCancel = onCancel;
  }

  cancel(): void {
    this.#onCancel(this);
  }
}

/** A fill of another thread. */
class Followed {
  readonly answer: CachedAnswer;
  readonly body: FollowedBody;
  /** How many asks of this thread were told to follow it. */
  follows = 0;

  constructor(answer: CachedAnswer, body: FollowedBody) {
    this.answer = answer;
    this.body = body;
  }
}

const OVER: PendingAcquire = { cancel() {} };

export class ThreadFills {
  readonly #parts: ThreadFillsParts;
  readonly #passes: PassMemory;
  readonly #asks = new Map<number, Ask>();
  readonly #fills = new Map<number, ThreadFill>();
  readonly #followed = new Map<number, Followed>();
  #nextAsk = 1;

  constructor(parts: ThreadFillsParts) {
    this.#parts = parts;
    this.#passes = new PassMemory(parts.clock, PASSES_MAX);
  }

  /** Nothing is asked, fetched or followed. */
  get isIdle(): boolean {
    return this.#asks.size === 0 && this.#fills.size === 0 && this.#followed.size === 0;
  }

  acquire(key: string, request: FieldBlock, seen: number, isPart: boolean, handler: AcquireHandler): PendingAcquire {
    const copy = FieldBlock.copyOf(request);
    copy.compact();
    const ask = new Ask(this.#nextAsk++, key, copy, seen, isPart, handler, this.#cancel);
    this.#asks.set(ask.number, ask);
    this.#send(ask, NO_NAMES);
    return this.#asks.has(ask.number) ? ask : OVER;
  }

  /** `false`: it is not about fills. */
  receive(message: ToThread): boolean {
    switch (message.kind) {
      case "granted":
        this.#onGranted(message);
        return true;
      case "follow":
        this.#onFollow(message);
        return true;
      case "stored":
        for (const number of message.asks) this.#take(number)?.handler.onStored();
        return true;
      case "names":
        for (const number of message.asks) this.#onNames(number, message.names);
        return true;
      case "pass":
        for (const number of message.asks) this.#onPass(number, message.reason, message.passMs);
        return true;
      case "share":
        this.#fills.get(message.flight)?.share();
        return true;
      case "giveUp":
        this.#fills.get(message.flight)?.giveUp();
        return true;
      case "whole":
        this.#followed.get(message.flight)?.body.whole(asBuffer(message.bytes));
        return true;
      case "broken":
        this.#followed.get(message.flight)?.body.broken();
        return true;
      case "settled":
        this.#fills.get(message.flight)?.settle(message.isDiscarded);
        this.#fills.delete(message.flight);
        return true;
      default:
        return false;
    }
  }

  /** Asks under what is known by now of how answers of the key vary; `names`: from one that is being fetched. */
  #send(ask: Ask, names: readonly string[]): void {
    const { key, request, seen, isPart, number } = ask;
    const place = this.#parts.placeOf(key, request);
    ask.names = unitedNames(place.names, names);
    ask.id = fetchIdOf(key, request, ask.names);
    const reason = this.#passes.reasonFor(ask.id);
    if (reason !== null) return this.#take(number)!.handler.onPass(reason);
    // Under more names than those of what is stored nothing is stored yet.
    const storedId = ask.names === place.names ? place.id : "";
    this.#parts.link.send({ kind: "acquire", ask: number, id: ask.id, storedId, key, seen, isPart });
  }

  #sendAgain(ask: Ask, names: readonly string[], reason: PassReason): void {
    if (++ask.turns < TURNS_MAX) return this.#send(ask, names);
    this.#take(ask.number)!.handler.onPass(reason);
  }

  readonly #cancel = (ask: Ask): void => {
    if (this.#take(ask.number) !== null) this.#parts.link.send({ kind: "cancel", ask: ask.number });
  };

  /** It is answered, or given up. */
  #take(number: number): Ask | null {
    const ask = this.#asks.get(number);
    if (ask === undefined) return null;
    this.#asks.delete(number);
    ask.request.release();
    return ask;
  }

  #onGranted({ ask: number, flight, row, body }: Extract<ToThread, { kind: "granted" }>): void {
    const ask = this.#asks.get(number);
    const request = ask?.request ?? new FieldBlock();
    const granted = { flight, row, body };
    const fill = new ThreadFill(this.#parts, granted, ask?.key ?? "", request, ask?.names ?? NO_NAMES, ask?.id ?? "");
    this.#fills.set(flight, fill);
    if (ask === undefined) return fill.abandon();
    // Its request is the fill's from here on.
    this.#asks.delete(number);
    ask.handler.onFill(fill);
  }

  #onNames(number: number, names: readonly string[]): void {
    const ask = this.#asks.get(number);
    if (ask !== undefined) this.#sendAgain(ask, names, "variants");
  }

  #onPass(number: number, reason: PassReason, passMs: number): void {
    const ask = this.#asks.get(number);
    if (ask === undefined) return;
    this.#passes.remember(ask.id, reason, passMs);
    this.#take(number)!.handler.onPass(reason);
  }

  #onFollow({ asks, flight, fill }: Extract<ToThread, { kind: "follow" }>): void {
    const own = fill === null ? this.#fills.get(flight) : undefined;
    const names = fill?.names ?? own?.names ?? NO_NAMES;
    const id = fill?.id ?? own?.id ?? "";
    const takers: Ask[] = [];
    const others: Ask[] = [];
    for (const number of asks) {
      const ask = this.#asks.get(number);
      if (ask !== undefined) (fetchIdOf(ask.key, ask.request, names) === id ? takers : others).push(ask);
    }
    let answer: CachedAnswer | null = null;
    if (fill !== null) answer = this.#follow(flight, fill, asks.length, takers.length > 0);
    else answer = own?.joinable ?? null;
    for (const ask of others) this.#sendAgain(ask, names, "variants");
    for (const { number } of takers) {
      // One of those before it may have cancelled it.
      const ask = this.#asks.get(number);
      if (ask === undefined) continue;
      if (answer === null) this.#sendAgain(ask, names, "failed");
      else this.#take(number)!.handler.onAnswer(answer);
    }
    if (answer?.body instanceof FollowedBody) answer.body.given();
  }

  /** null: it is broken already, or gone, or nobody wants it. */
  #follow(flight: number, fill: FollowedFill, follows: number, isWanted: boolean): CachedAnswer | null {
    const { link, table } = this.#parts;
    const known = this.#followed.get(flight);
    const isLost =
      table.generationOf(fill.row) !== fill.generation || table.stateOf(fill.row) === PROGRESS_STATES.broken;
    const record = known !== undefined || isLost ? null : decodeRecord(asBuffer(fill.record));
    if (known !== undefined && isWanted && known.body.error === null) {
      known.follows += follows;
      return known.answer;
    }
    if (!isWanted || record?.kind !== "answer") {
      link.send({ kind: "left", flight, follows });
      return null;
    }
    const { head } = record;
    const body = new FollowedBody(
      {
        openFile: () => this.#openFile(fill.body),
        onOver: () => {
          this.#followed.delete(flight);
          link.send({ kind: "left", flight, follows: followed.follows });
        },
      },
      head.bodyBytes,
      table,
      fill,
    );
    const followed = new Followed({ version: 0, head, body }, body);
    followed.follows = follows;
    this.#followed.set(flight, followed);
    if (fill.hasFile) body.opened();
    // What was over, and stored, and had to go again before we came to open it, is nothing that anybody was given yet.
    if (body.error === null) return followed.answer;
    body.given();
    return null;
  }

  /** It may have been kept meanwhile, under its own name. */
  #openFile(body: BodyId): BodyFile {
    const { disk, openFiles } = this.#parts;
    return openFiles.open(() => {
      try {
        return disk.openGrowing(body);
      } catch {
        return disk.openBody(body);
      }
    });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
