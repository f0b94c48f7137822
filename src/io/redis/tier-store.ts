/**
 * What machines share, on one server of Redis, or on the master that sentinels know. Two links: one for the log and the machines,
 * where the server tells what changes (client tracking), so that a purge reaches a machine at once; one for answers, which are large
 * and must not stand in its way.
 *
 *     PREFIX log         stream; an entry's id is NUMBER-0, its field "p" the purge       } with one hash tag, so that one script
 *     PREFIX last        the number of the last entry                                     } may change both
 *     PREFIX generation  chance, made with the log; gone with it
 *     PREFIX machines    set of names; PREFIX machine/NAME: how far it is, gone when it does not renew it
 *     PREFIX answer/ID   hash: "n" parts in the fields "0", "1", ...; one key, so that it is replaced, and goes, as a whole
 */
import type { EntryId } from "../../caching/ports.ts";
import type { LoggedText, TierPosition, TierStore } from "../../caching/tier/ports.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { RedisFailure } from "./failure.ts";
import { type LinkObserver, type LinkOptions, RedisLink } from "./link.ts";

export interface RedisTierOptions extends Omit<LinkOptions, "tracking" | "isBinary"> {
  /** Caches with the same one share. */
  readonly name: string;
  /** Entries that the log keeps. */
  readonly logMax: number;
}

export interface RedisTierSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: LinkObserver;
}

/** Entries of the log in one answer: of the longest ones, 2 MiB. */
const READ_AT_ONCE = 128;
/** Parts of an answer in one reply: at 256 KiB each, 4 MiB, which a slow link takes half a second for. */
const PARTS_AT_ONCE = 16;
/** What operators are told, the other link tells. */
const SILENT: LinkObserver = { onAway() {}, onBack() {}, onUntracked() {} };

/** KEYS: last, log. ARGV: how many to keep, the purge. */
const APPEND = `local n = redis.call('INCR', KEYS[1])
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[1], n .. '-0', 'p', ARGV[2])
return n`;

/** KEYS: machines, the presence of one. ARGV: its name. It may be back since somebody has seen it gone. */
const DROP_MACHINE = `if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SREM', KEYS[1], ARGV[1]) end
return 0`;

export class RedisTierStore implements TierStore {
  onChange: () => void = () => {};
  readonly #prefix: string;
  readonly #logMax: number;
  readonly #random: Random;
  readonly #control: RedisLink;
  readonly #data: RedisLink;

  constructor(options: RedisTierOptions, { clock, random, observer }: RedisTierSurroundings) {
    // A hash tag: in front of what differs.
    this.#prefix = `headgate:cache:{${options.name}}:`;
    this.#logMax = options.logMax;
    this.#random = random;
    const change = (): void => this.onChange();
    this.#control = new RedisLink(
      { ...options, tracking: true },
      { clock, random },
      { onInvalid: change, onReady: change, onLost() {} },
      observer,
    );
    this.#data = new RedisLink(
      { ...options, tracking: false, isBinary: true },
      { clock, random },
      { onInvalid() {}, onReady() {}, onLost() {} },
      SILENT,
    );
  }

  start(): void {
    this.#control.start();
    this.#data.start();
  }

  async get(id: EntryId): Promise<readonly Buffer[] | null> {
    await this.#data.ready();
    const key = this.#key(`answer/${id}`);
    const [first] = await this.#data.send(["HMGET", key, "n", "0"]);
    const [count, head] = first as [Buffer | null, Buffer | null];
    if (count === null || head === null) return null;
    const parts = [head];
    while (parts.length < Number(count.toString())) {
      const fields = Array.from({ length: PARTS_AT_ONCE }, (_, index) => String(parts.length + index));
      const wanted = fields.slice(0, Number(count.toString()) - parts.length);
      const [some] = await this.#data.send(["HMGET", key, ...wanted]);
      for (const part of some as (Buffer | null)[]) {
        // It has been replaced, or has gone, meanwhile.
        if (part === null) return null;
        parts.push(part);
      }
    }
    return parts;
  }

  async put(id: EntryId, parts: readonly Buffer[], ttlMs: number): Promise<void> {
    await this.#data.ready();
    const key = this.#key(`answer/${id}`);
    const fields = parts.flatMap((part, index) => [String(index), part]);
    const set = ["HSET", key, "n", String(parts.length), ...fields];
    const expire = ["PEXPIRE", key, String(Math.ceil(ttlMs))];
    await this.#data.send(["MULTI"], ["DEL", key], set, expire, ["EXEC"]);
  }

  async append(text: string): Promise<number> {
    await this.#control.ready();
    const keys = [this.#key("last"), this.#key("log")];
    const [number] = await this.#control.send(["EVAL", APPEND, "2", ...keys, String(this.#logMax), text]);
    return Number(number);
  }

  async renew(machine: string, applied: number, ttlMs: number): Promise<TierPosition> {
    await this.#control.ready();
    const generation = this.#key("generation");
    const answers = await this.#control.send(
      ["SET", generation, this.#chance(), "NX"],
      ["SADD", this.#key("machines"), machine],
      ["SET", this.#key(`machine/${machine}`), String(applied), "PX", String(ttlMs)],
      // Read last, so that what is logged behind this is told of.
      ["GET", generation],
      ["GET", this.#key("last")],
    );
    return { generation: String(answers[3]), last: Number(answers[4] ?? 0) };
  }

  async read(after: number): Promise<readonly LoggedText[]> {
    await this.#control.ready();
    const range = ["XRANGE", this.#key("log"), `${after + 1}-0`, "+", "COUNT", String(READ_AT_ONCE)];
    const [entries] = await this.#control.send(range);
    return (entries as [string, string[]][]).map(([id, [, text]]) => ({
      number: Number.parseInt(id, 10),
      text: text!,
    }));
  }

  async machines(): Promise<ReadonlyMap<string, number>> {
    await this.#control.ready();
    const [members] = await this.#control.send(["SMEMBERS", this.#key("machines")]);
    // In RESP3 a set, which may be anything that can be iterated.
    const names = [...(members as Iterable<string>)];
    if (names.length === 0) return new Map();
    const [values] = await this.#control.send(["MGET", ...names.map((name) => this.#key(`machine/${name}`))]);
    const present = new Map<string, number>();
    const gone: string[] = [];
    for (const [index, value] of (values as (string | null)[]).entries()) {
      if (value === null) gone.push(names[index]!);
      else present.set(names[index]!, Number(value));
    }
    const drops = gone.map((name) => {
      return ["EVAL", DROP_MACHINE, "2", this.#key("machines"), this.#key(`machine/${name}`), name];
    });
    if (drops.length > 0) await this.#control.send(...drops);
    return present;
  }

  async leave(machine: string): Promise<void> {
    if (!this.#control.isReady) throw new RedisFailure("Redis is away");
    await this.#control.send(["DEL", this.#key(`machine/${machine}`)], ["SREM", this.#key("machines"), machine]);
  }

  async close(): Promise<void> {
    this.#control.close();
    this.#data.close();
  }

  #key(name: string): string {
    return this.#prefix + name;
  }

  #chance(): string {
    return Array.from({ length: 4 }, () => Math.floor(this.#random.next() * 2 ** 32).toString(36)).join("");
  }
}
