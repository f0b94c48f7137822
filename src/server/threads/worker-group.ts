/**
 * The workers of a proxy, led by the main thread: started together, reloaded all or none, replaced when they die, drained.
 * It decides what happens to which worker and when; what a worker does with it is worker.ts's part.
 *
 * Starts, reloads and replacements happen one after the other, so none of them ever meets a thread that is only half there.
 */
import type { Config } from "../../config/config.ts";
import type { UserReport } from "../../forward/user-counts.ts";
import { type AccessOutput, accessOutputs, type OpenAccessOutput } from "../access-output.ts";
import type { CacheControl } from "../caches/control.ts";
import type { WorkerStatus } from "../control.ts";
import type { Listening } from "../listening-url.ts";
import { SetupError } from "../setup-error.ts";
import type { StandardErrorLog } from "../standard-error.ts";
import { clock } from "../surroundings.ts";
import type { HandedAddress } from "../upgrade/handover.ts";
import { BEAT_MS, type WorkerCounts } from "./counters.ts";
import { ListeningSockets, type PreparedSockets } from "./listening-sockets.ts";
import type { NotedFiles } from "./protocol.ts";
import type { SocketSource } from "./socket-source.ts";
import { type Loaded, type Sourced, WorkerSpawner } from "./spawning.ts";
import type { UpstreamMemory } from "./upstream-memory.ts";
import { ANSWER_MS_MAX, type WorkerEnd, WorkerRefusal, type WorkerThread } from "./worker-thread.ts";

/** A worker that has served for so long did not die of how it was started: the next one is started at once. */
const STEADY_MS = 10_000;
/** Before one is started again that died sooner than that: twice as long each time, from the first number up to the second. */
const RESTART_MS_MIN = 100;
const RESTART_MS_MAX = 10_000;
/** A worker whose time to drain is over, or that was told to cut everything, and that is still there, is stuck. */
const END_MS_MAX = 3_000;

/** The place of a worker; the threads in it come and go. */
interface Slot {
  readonly id: number;
  /** null: it died, and another one has yet to be started. */
  thread: WorkerThread | null;
  /** The one that was there when all were told to end, and what it has counted; null: that has not come, or there was none. */
  last: { readonly thread: WorkerThread; counts: WorkerCounts | null } | null;
  /** What the one that died had read. */
  files: NotedFiles | null;
  /** How many that served have died. */
  restarts: number;
  lastFault: string | null;
  /** In a row, each soon after the start. */
  deaths: number;
  diedMs: number;
  timer: NodeJS.Timeout | null;
}

/** All workers have what they were to be given. */
interface Given {
  /** Resolves when none does anything with sockets of before that are not wanted any more. */
  readonly released: Promise<void>;
}

export interface GroupOptions {
  readonly workers: number;
  readonly transport: Config["transport"];
  readonly source: SocketSource;
  readonly output: StandardErrorLog;
  /** What the process before this one listens on. Default: there was none. */
  readonly inherited?: readonly HandedAddress[];
  /** How long a worker may be silent. Default: as long as for an answer. */
  readonly silentMsMax?: number;
}

export class WorkerGroup {
  readonly #log: StandardErrorLog["log"];
  readonly #slots: readonly Slot[];
  readonly #spawner: WorkerSpawner;
  readonly #sockets: ListeningSockets;
  readonly #openOutput: OpenAccessOutput;
  /** Those that are to end, and how many connections they will have cut. */
  readonly #draining = new Map<WorkerThread, Promise<number>>();
  #accessOutput: AccessOutput | null = null;
  #current: Loaded | null = null;
  #isEnding = false;
  /** Nothing is waited for any more. */
  #isCut = false;
  readonly #pulse: NodeJS.Timeout;
  /** The last of what was asked for. */
  #last: Promise<unknown> = Promise.resolve();

  constructor({ workers, transport, source, output, inherited = [], silentMsMax = ANSWER_MS_MAX }: GroupOptions) {
    this.#log = output.log;
    this.#slots = Array.from({ length: workers }, (_, index) => {
      return {
        id: index + 1,
        thread: null,
        last: null,
        files: null,
        restarts: 0,
        lastFault: null,
        deaths: 0,
        diedMs: 0,
        timer: null,
      };
    });
    const writeAccess = (text: string, lines: number): void => this.#accessOutput?.writer.write(text, lines);
    this.#spawner = new WorkerSpawner({ workers, transport, output, writeAccess });
    this.#sockets = new ListeningSockets(source, workers, inherited);
    this.#openOutput = accessOutputs(clock, output.log);
    this.#pulse = setInterval(() => {
      for (const thread of this.#threads()) thread.listen(this.#spawner.beatsOf(thread), silentMsMax);
    }, BEAT_MS).unref();
  }

  get listening(): readonly Listening[] {
    return this.#sockets.listening;
  }

  /** What it listens on, for a process that is to take this one's place. */
  get toHandOn(): readonly HandedAddress[] {
    return this.#sockets.toHandOn;
  }

  /** The other process listens on all of it, and goes on to when this one has ended. */
  handOn(): void {
    this.#sockets.handOn();
  }

  /** The process before this one has handed on. */
  takeOver(): void {
    this.#sockets.takeOver();
  }

  /** What operators may do with the caches. */
  get caches(): CacheControl {
    return this.#spawner.caches;
  }

  get size(): number {
    return this.#slots.length;
  }

  status(): readonly WorkerStatus[] {
    const slotOf = ({ setup }: WorkerThread): Slot => this.#slots[setup.id - 1]!;
    const replaced = [...this.#draining.keys()].filter((thread) => slotOf(thread).last?.thread !== thread);
    return [
      ...this.#slots.map((slot) => this.#statusOf(slot, slot.thread ?? slot.last?.thread ?? null)),
      ...replaced.map((thread) => this.#statusOf(slotOf(thread), thread)),
    ];
  }

  /** Whether other workers can listen where these do, before they have ended. */
  get canBeReplaced(): boolean {
    return this.#sockets.canBeShared;
  }

  /** What all workers share about upstreams. */
  get upstreams(): UpstreamMemory {
    return this.#spawner.upstreams;
  }

  /** A thread was ended and still runs. */
  get hasLost(): boolean {
    return this.#spawner.hasLost;
  }

  /** What users of the forward proxy have had since the start. */
  get users(): UserReport {
    return this.#spawner.users;
  }

  /** Starts all workers, or none. Rejects with a SetupError or a WorkerRefusal. */
  start(first: Sourced): Promise<void> {
    return this.#next(() => this.#apply(first, (loaded, sockets) => this.#replaceAll(loaded, sockets)));
  }

  /**
   * Takes another configuration into use in all workers, or in none: rejects as `start` does. With `isOtherCode`, plugins or
   * functions are not those that the workers have: then others take their places, if they can listen where these do.
   */
  reload(next: Sourced, isOtherCode: boolean): Promise<void> {
    const replaces = isOtherCode && this.canBeReplaced;
    return this.#next(() =>
      this.#apply(next, (loaded, sockets) =>
        replaces ? this.#replaceAll(loaded, sockets) : this.#changeAll(loaded, sockets),
      ),
    );
  }

  async reopenLogs(): Promise<void> {
    await this.#accessOutput?.writer.reopen();
  }

  /** Stops accepting, lets exchanges end for `ms` at most, and closes everything. Resolves with the number of connections cut. */
  async drain(ms: number): Promise<number> {
    this.#isEnding = true;
    for (const { timer } of this.#slots) clearTimeout(timer ?? undefined);
    this.#spawner.terminateStarting();
    await this.#last;
    // Each for itself: what comes while another one is busy would wait at a socket that nobody accepts on, and be reset.
    const released = this.#slots.map(async ({ thread }, index) => {
      if (thread !== null) await release([thread]);
      this.#sockets.closeOf(index);
    });
    for (const slot of this.#slots) {
      if (slot.thread !== null) slot.last = { thread: slot.thread, counts: null };
      this.#retire(slot, ms);
    }
    await Promise.all(released);
    this.#sockets.forget();
    const cuts = await Promise.all(this.#draining.values());
    clearInterval(this.#pulse);
    this.#spawner.close();
    // Nobody reads or writes there any more.
    await this.#spawner.caches.close();
    await this.#accessOutput?.writer.close();
    return cuts.reduce((sum, cut) => sum + cut, 0);
  }

  /** Cuts everything off at once; a `drain` that waits ends. */
  destroy(): void {
    this.#isCut = true;
    for (const thread of this.#threads()) cutOff(thread);
  }

  #threads(): WorkerThread[] {
    return [...this.#serving(), ...this.#draining.keys()];
  }

  #serving(): WorkerThread[] {
    return this.#slots.flatMap(({ thread }) => (thread === null ? [] : [thread]));
  }

  /** For a process that is about to die: writes what can be written without waiting. */
  flushLogs(): void {
    this.#accessOutput?.writer.flushSync();
  }

  #statusOf({ id, last, restarts, lastFault, diedMs }: Slot, thread: WorkerThread | null): WorkerStatus {
    const startedAt = new Date(thread?.startedMs ?? diedMs).toISOString();
    const about = { id, startedAt, restarts, lastFault };
    if (thread === null) return { ...about, state: this.#isEnding ? "ended" : "dead", ...NO_COUNTS };
    const hasEnded = last?.thread === thread && last.counts !== null;
    // Another thread may have its column by now.
    if (hasEnded) return { ...about, state: "ended", ...last.counts!, connections: 0, upstreamConnections: 0 };
    return { ...about, state: thread.state, ...this.#spawner.countsOf(thread) };
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(() => {
      if (this.#isEnding) throw new WorkerRefusal(["the proxy is about to end"]);
      return work();
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Opens what the configuration wants; keeps it when the workers take it, and otherwise leaves everything as before. */
  async #apply(wanted: Sourced, give: (next: Loaded, sockets: PreparedSockets) => Promise<Given>): Promise<void> {
    const { caches: keepers } = this.#spawner;
    const caches = await keepers.plan(wanted.config.caches);
    const next = { ...wanted, caches };
    const before = this.#accessOutput;
    let sockets: PreparedSockets | null = null;
    let output = before;
    let given: Given;
    try {
      sockets = await this.#sockets.prepare(next.config);
      const { access } = next.config.log;
      output = access === null ? null : this.#openOutput(access, before);
      given = await give(next, sockets);
    } catch (error) {
      sockets?.rollback();
      if (output !== before) await output?.writer.close();
      await keepers.forget(caches);
      throw error;
    }
    sockets.commit(given.released);
    keepers.keep(caches);
    this.#spawner.upstreams.keep(next.config);
    this.#current = next;
    this.#accessOutput = output;
    if (output !== before) await before?.writer.close();
  }

  /** New workers in all places; those that were there drain. */
  async #replaceAll(next: Loaded, sockets: PreparedSockets): Promise<Given> {
    // Those that have drained for longest, before there are more than there is room for.
    for (const [thread, drained] of this.#draining) {
      if (this.#spawner.room >= this.#slots.length) break;
      const { id } = thread.setup;
      const { connections } = this.#spawner.countsOf(thread);
      this.#log.warn(
        { worker: id, connections },
        `the configuration was loaded again so often that worker ${id} of an earlier one is ended before its time`,
      );
      cutOff(thread);
      await drained;
    }
    const started = await Promise.allSettled(this.#slots.map(({ id }) => this.#spawner.start(id, next)));
    const ready = fulfilled(started);
    if (ready.length < this.#slots.length) {
      await Promise.all(ready.map((thread) => thread.terminate()));
      throw reasonOf(started);
    }
    // None before all are ready: what one had accepted by then would be cut when another one refuses.
    const listening = await Promise.allSettled(
      ready.map((thread, index) => this.#spawner.listen(thread, sockets.handedTo(index))),
    );
    const threads = fulfilled(listening);
    if (threads.length < this.#slots.length) {
      await release(threads);
      for (const thread of threads) this.#letGo(thread, next.config.drainTimeoutMs);
      throw reasonOf(listening);
    }
    // Not waited for: one that is stuck does not hear of it before it is ended, and the others shall not wait for it.
    const released = release(this.#serving());
    for (const [index, slot] of this.#slots.entries()) {
      this.#retire(slot, next.config.drainTimeoutMs);
      this.#install(slot, threads[index]!);
    }
    return { released };
  }

  /** Each worker makes ready, and all take it into use or none does. One that is dead at the time is started with it. */
  async #changeAll(next: Loaded, sockets: PreparedSockets): Promise<Given> {
    const living = this.#slots.flatMap(({ thread, id }) => (thread === null ? [] : [{ thread, id }]));
    const dead = this.#slots.filter(({ thread }) => thread === null);
    const [prepared, started] = await Promise.all([
      Promise.allSettled(
        living.map(({ thread, id }) =>
          thread.ask("prepare", { ...this.#spawner.loadOf(next, thread), sockets: sockets.handedTo(id - 1) }),
        ),
      ),
      Promise.allSettled(dead.map(({ id }) => this.#spawner.start(id, next))),
    ]);
    const isReady = [...prepared, ...started].every(({ status }) => status === "fulfilled");
    // Who dies now is replaced by one that has what all have in the end.
    await Promise.allSettled(living.map(({ thread }) => thread.ask(isReady ? "commit" : "rollback", null)));
    for (const [index, result] of started.entries()) {
      if (result.status === "rejected") continue;
      const slot = dead[index]!;
      if (!isReady) await result.value.terminate();
      // One that cannot is tried again like any that is dead.
      else await this.#serveAgain(slot, result.value, sockets).catch((error: unknown) => this.#tell(slot, error));
    }
    if (!isReady) throw reasonOf([...prepared, ...started]);
    return { released: Promise.resolve() };
  }

  #install(slot: Slot, thread: WorkerThread): void {
    slot.thread = thread;
    thread.state = "serving";
    void thread.ended.then((end) => this.#gone(slot, thread, end));
  }

  /** In the place of one that died. */
  async #serveAgain(slot: Slot, thread: WorkerThread, sockets: Pick<PreparedSockets, "handedTo">): Promise<void> {
    await this.#spawner.listen(thread, sockets.handedTo(slot.id - 1));
    clearTimeout(slot.timer ?? undefined);
    this.#install(slot, thread);
    this.#log.info({ worker: slot.id }, `worker ${slot.id} serves again`);
  }

  /** The worker of this place ends in its own time, if there is one. */
  #retire(slot: Slot, ms: number): void {
    const { thread } = slot;
    clearTimeout(slot.timer ?? undefined);
    slot.thread = null;
    if (thread !== null) this.#letGo(thread, ms);
  }

  #letGo(thread: WorkerThread, ms: number): void {
    this.#draining.set(thread, this.#endOf(thread, this.#isCut ? 0 : ms));
  }

  /** Resolves with the number of connections that were cut when the thread is gone. */
  async #endOf(thread: WorkerThread, ms: number): Promise<number> {
    const deadline = clock.after(ms + END_MS_MAX, () => void thread.terminate());
    const cut = await thread.ask("drain", { ms }).then(
      (answer) => answer.cut,
      () => 0,
    );
    const { last } = this.#slots[thread.setup.id - 1]!;
    if (last?.thread === thread) last.counts = this.#spawner.countsOf(thread);
    await thread.ended;
    deadline.cancel();
    this.#draining.delete(thread);
    return cut;
  }

  #gone(slot: Slot, thread: WorkerThread, { isOrderly, cause, err }: WorkerEnd): void {
    if (isOrderly) return;
    const isReplaced = slot.thread === thread && !this.#isEnding;
    const more = isReplaced ? "another one takes its place" : "it was to end";
    const what = thread.isLost ? `could not be ended (${cause}): ${STILL_RUNS}` : `died of ${cause}`;
    this.#log.error({ ...(err !== null && { err }), worker: slot.id }, `worker ${slot.id} ${what}; ${more}`);
    slot.lastFault = cause;
    if (slot.thread !== thread) return;
    slot.thread = null;
    slot.files = thread.files;
    if (isReplaced) slot.restarts++;
    slot.diedMs = clock.wallMs();
    slot.deaths = slot.diedMs - thread.startedMs < STEADY_MS ? slot.deaths + 1 : 0;
    if (isReplaced) this.#startAgain(slot);
  }

  #startAgain(slot: Slot): void {
    const { id, deaths } = slot;
    const waitMs = deaths === 0 ? 0 : Math.min(RESTART_MS_MIN * 2 ** (deaths - 1), RESTART_MS_MAX);
    slot.timer = setTimeout(() => {
      this.#next(async () => {
        if (slot.thread !== null || this.#current === null) return;
        const thread = await this.#spawner.startAgain(id, this.#current, this.#files);
        await this.#serveAgain(slot, thread, this.#sockets);
      }).catch((error: unknown) => {
        if (this.#isEnding) return;
        slot.deaths++;
        this.#tell(slot, error);
        this.#startAgain(slot);
      });
    }, waitMs);
  }

  /** What the files of the configuration held when they were read last: the first worker tells. */
  get #files(): NotedFiles | null {
    const [first] = this.#slots;
    return first?.thread?.files ?? first?.files ?? null;
  }

  /** Why there is no other one yet. */
  #tell({ id }: Slot, error: unknown): void {
    for (const line of linesOf(error)) this.#log.error({ worker: id }, `worker ${id} cannot be started: ${line}`);
  }
}

/** Resolves when they do nothing with their listening sockets any more, which may then be closed. */
async function release(threads: readonly WorkerThread[]): Promise<void> {
  await Promise.allSettled(threads.map((thread) => thread.ask("release", null)));
}

/** Its connections are cut, what it has logged is written, and it ends; one that does not hear that is ended. */
function cutOff(thread: WorkerThread): void {
  thread.cut();
  setTimeout(() => void thread.terminate(), END_MS_MAX).unref();
}

const STILL_RUNS =
  "what it is in the middle of still runs, most likely an endless loop of a plugin, and uses a processor, and its connections stay open, " +
  "until this process ends";

const NO_COUNTS = { connections: 0, requests: 0, faults: 0, upstreamConnections: 0 };

function fulfilled<T>(results: readonly PromiseSettledResult<T>[]): readonly T[] {
  return results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

/** Why not all of them could: what the machine lacks, rather than that a thread died of it. */
function reasonOf(results: readonly PromiseSettledResult<unknown>[]): unknown {
  const reasons = results.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
  return reasons.find((reason) => reason instanceof SetupError) ?? reasons[0];
}

function linesOf(error: unknown): readonly string[] {
  if (error instanceof SetupError) return error.problems.map(({ message }) => message);
  if (error instanceof WorkerRefusal) return error.lines;
  return [error instanceof Error ? error.message : String(error)];
}
