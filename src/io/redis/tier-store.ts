/**
 * What machines share, on Redis: one server, the master that sentinels know, or a cluster. Two links to a server: one for the log and
 * the machines, where the server tells what changes (client tracking), so that a purge reaches a machine at once; one for answers, which
 * are large and must not stand in its way.
 *
 *     headgate:cache:{NAME}:state, log, machines        tier-scripts.ts has what they are
 *     headgate:cache:NAME:FORMAT:ID    an answer: hash of "head"; "body", which tells bodies apart; the body in "small", or in "0", "1", ...
 *
 * An answer is one key, so that it is replaced, and goes, as a whole; in a cluster they are everywhere. Machines of another format have
 * answers of their own, and the same purges.
 */
import type { EntryId } from "../../caching/ports.ts";
import type {
  LoggedText,
  SharedBytes,
  TierMachines,
  TierPosition,
  TierReport,
  TierStore,
} from "../../caching/tier/ports.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { type ClusterNode, ClusterTable } from "./cluster-table.ts";
import { RedisFailure } from "./failure.ts";
import { type LinkObserver, type LinkOptions, type RedisAddress, type RedisArgument, RedisLink } from "./link.ts";
import { APPEND, CONFIRM, GET, MACHINES, REPORT } from "./tier-scripts.ts";

export interface TierOptions {
  /** Caches with the same one share. */
  readonly name: string;
  /** Of the answers. */
  readonly format: string;
  /** Entries that the log keeps. */
  readonly logMax: number;
}

export interface TierSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  /** Why a server cannot be asked is what is rejected with. */
  readonly onUntracked: () => void;
}

/** Entries of the log in one answer: of the longest ones, 2 MiB. */
const READ_AT_ONCE = 128;
/** Blocks of an answer in one reply: at 256 KiB each, 4 MiB, behind which other look-ups get their turn. */
const BLOCKS_AT_ONCE = 16;
/** A body of one block that is not longer comes with the head: in one round trip, and hardly later. */
const SMALL_BYTES_MAX = 64 * 1024;

const ASKING = ["ASKING"];
const SILENT: LinkObserver = { onAway() {}, onBack() {}, onUntracked() {} };

/** One server, by both links. Each begins to connect when it is needed. */
class TierNode implements ClusterNode {
  readonly control: RedisLink;
  readonly data: RedisLink;

  constructor(options: LinkOptions, around: { clock: Clock; random: Random }, handler: TierHandler) {
    const { onChange, onUntracked } = handler;
    this.control = new RedisLink(
      options,
      around,
      { onInvalid: onChange, onReady: () => onChange(null), onLost() {} },
      { ...SILENT, onUntracked },
    );
    const data = { ...options, tracking: false, isBinary: true };
    this.data = new RedisLink(data, around, { onInvalid() {}, onReady() {}, onLost() {} }, SILENT);
  }

  get isReady(): boolean {
    return this.control.isReady || this.data.isReady;
  }

  start(): void {
    this.data.start();
  }

  async send(...commands: readonly string[][]): Promise<unknown[]> {
    await this.control.ready();
    return this.control.send(...commands);
  }

  async close(): Promise<void> {
    this.control.close();
    this.data.close();
  }
}

interface TierHandler {
  /** The key has another value now; null: any may have. */
  onChange(key: string | null): void;
  onUntracked(): void;
}

/** Which server has a key: the only one, or the cluster's table says. */
interface Ways {
  start(): void;
  on<T>(key: string, ask: (node: TierNode, isAsking: boolean) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export class RedisTierStore implements TierStore {
  onLog: () => void = () => {};
  onMachines: () => void = () => {};
  readonly #answers: string;
  readonly #state: string;
  readonly #log: string;
  readonly #machines: string;
  readonly #logMax: number;
  readonly #random: Random;
  readonly #ways: Ways;
  #isClosed = false;

  /** `seeds`: of a cluster; null: there is one server. */
  constructor(
    link: LinkOptions,
    seeds: readonly RedisAddress[] | null,
    options: TierOptions,
    { clock, random, onUntracked }: TierSurroundings,
  ) {
    const { name, format, logMax } = options;
    this.#answers = `headgate:cache:${name}:${format}:`;
    const control = `headgate:cache:{${name}}:`;
    this.#state = `${control}state`;
    this.#log = `${control}log`;
    this.#machines = `${control}machines`;
    this.#logMax = logMax;
    this.#random = random;
    const around = { clock, random };
    const handler = { onChange: (key: string | null) => this.#changed(key), onUntracked };
    this.#ways =
      seeds === null
        ? waysTo(new TierNode(link, around, handler))
        : new ClusterTable<TierNode>(seeds, {
            clock,
            onAway() {},
            onBack() {},
            unavailable: (cause) => cause,
            open: (address, isForTable) => {
              const silent = { onChange() {}, onUntracked() {} };
              const there = { ...link, address: () => Promise.resolve(address) };
              return new TierNode(there, around, isForTable ? silent : handler);
            },
          });
  }

  start(): void {
    this.#ways.start();
  }

  async get(id: EntryId): Promise<SharedBytes | null> {
    const [answer] = await this.#ask(this.#answers + id, (key) => [["EVAL", GET, "1", key]]);
    const [head, small, restMs] = answer as [Buffer | null, Buffer | null, number];
    return head === null || restMs < 0 ? null : { head, small, restMs };
  }

  async blocks(id: EntryId, count: number): Promise<readonly Buffer[] | null> {
    const blocks: Buffer[] = [];
    while (blocks.length < count) {
      const length = Math.min(BLOCKS_AT_ONCE, count - blocks.length);
      const names = Array.from({ length }, (_, index) => String(blocks.length + index));
      const [some] = await this.#ask(this.#answers + id, (key) => [["HMGET", key, ...names]]);
      for (const block of some as (Buffer | null)[]) {
        // It has been replaced, or has gone, meanwhile.
        if (block === null) return null;
        blocks.push(block);
      }
    }
    return blocks;
  }

  async put(id: EntryId, head: Buffer, body: string, blocks: readonly Buffer[], ttlMs: number): Promise<void> {
    const [first] = blocks;
    const isSmall = blocks.length === 1 && first!.length <= SMALL_BYTES_MAX;
    const fields = isSmall ? ["small", first!] : blocks.flatMap((block, index) => [String(index), block]);
    await this.#ask(this.#answers + id, (key, isAsking) => {
      // It is on its way to another node, and transactions cannot be asked for: the next one who has it gives it.
      if (isAsking) throw new RedisFailure("the cluster is moving the key");
      const set = ["HSET", key, "head", head, "body", body, ...fields];
      return [["MULTI"], ["DEL", key], set, ["PEXPIRE", key, wholeMs(ttlMs)], ["EXEC"]];
    });
  }

  async confirm(id: EntryId, head: Buffer, body: string, ttlMs: number): Promise<boolean> {
    const confirm = (key: string) => [["EVAL", CONFIRM, "1", key, body, head, wholeMs(ttlMs)]];
    return (await this.#ask(this.#answers + id, confirm))[0] === 1;
  }

  async append(generation: string, id: string, text: string): Promise<number | null> {
    const number = await this.#eval(APPEND, [this.#state, this.#log], [generation, id, text, String(this.#logMax)]);
    return number === "" ? null : Number(number);
  }

  async report(machine: string, at: TierPosition | null, presenceMs: number): Promise<TierReport> {
    const { generation = "", number = 0, id = "" } = at ?? {};
    const said = [wholeMs(presenceMs), machine, generation, String(number), id, this.#chance()];
    const answer = await this.#eval(REPORT, [this.#state, this.#log, this.#machines], said);
    const [ofLog, last, lastId, isYoung] = answer as [string, string, string, number];
    return { position: { generation: ofLog, number: Number(last), id: lastId }, isYoung: isYoung === 1 };
  }

  async read(after: number): Promise<readonly LoggedText[]> {
    const range = ["XRANGE", this.#log, `${after + 1}-0`, "+", "COUNT", String(READ_AT_ONCE)];
    const entries = await this.#control(range);
    return (entries as [string, string[]][]).map(([number, [, id, , before, , text]]) => {
      return { number: Number.parseInt(number, 10), id: id!, before: before!, text: text! };
    });
  }

  async machines(presenceMs: number): Promise<TierMachines | null> {
    const answer = await this.#eval(MACHINES, [this.#state, this.#machines], [wholeMs(presenceMs)]);
    const [generation, isYoung, ...pairs] = answer as string[];
    if (generation === "") return null;
    const applied: number[] = [];
    for (let at = 1; at < pairs.length; at += 2) applied.push(Number(pairs[at]));
    return { generation: generation!, isYoung: isYoung === "1", applied };
  }

  async leave(machine: string): Promise<void> {
    await this.#control(["HDEL", this.#machines, `m${machine}`]);
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#ways.close();
  }

  /** Of answers: all but numbers come as Buffers. */
  #ask(key: string, commands: (key: string, isAsking: boolean) => RedisArgument[][]): Promise<unknown[]> {
    return this.#ways.on(key, async ({ data }, isAsking) => {
      await data.ready();
      const sent = commands(key, isAsking);
      const answers = await data.send(...(isAsking ? [ASKING, ...sent] : sent));
      return isAsking ? answers.slice(1) : answers;
    });
  }

  #eval(script: string, keys: readonly string[], values: readonly string[]): Promise<unknown> {
    return this.#control(["EVAL", script, String(keys.length), ...keys, ...values]);
  }

  /** One command about the log or the machines. */
  #control(command: string[]): Promise<unknown> {
    return this.#ways.on(this.#state, async (node, isAsking) => {
      return (await node.send(...(isAsking ? [ASKING, command] : [command]))).at(-1);
    });
  }

  #changed(key: string | null): void {
    if (this.#isClosed) return;
    // What is logged shows in the state as well.
    if (key === null || key === this.#state) this.onLog();
    if (key === null || key === this.#machines) this.onMachines();
  }

  #chance(): string {
    return Array.from({ length: 4 }, () => Math.floor(this.#random.next() * 2 ** 32).toString(36)).join("");
  }
}

function waysTo(node: TierNode): Ways {
  return { start: () => node.start(), on: (_key, ask) => ask(node, false), close: () => node.close() };
}

function wholeMs(ms: number): string {
  return String(Math.ceil(ms));
}
