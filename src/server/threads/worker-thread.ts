/**
 * One worker as the main thread sees it: started, asked, cut, gone. It decides nothing about what a worker's end means.
 */
import { Worker } from "node:worker_threads";
import { SetupError } from "../setup-error.ts";
import { BEAT_MS } from "./counters.ts";
import type {
  Answer,
  FromWorker,
  Load,
  NotedFiles,
  QuestionKind,
  Questions,
  ToWorker,
  WorkerSetup,
} from "./protocol.ts";

/**
 * A question that a worker does not answer within this time finds it stuck, most likely in an endless loop of a plugin. So does
 * silence for as long when nobody asks.
 */
export const ANSWER_MS_MAX = 30_000;

/**
 * A thread that was ended is gone within milliseconds, or when it has collected its garbage. Not when it is in a loop that V8 has made
 * machine code of which never asks whether it is to end: for some that allocate it does.
 */
const TERMINATE_MS_MAX = 5_000;

/** The worker's entry: TypeScript in a clone, JavaScript in the package. */
const ENTRY = import.meta.url.endsWith(".ts")
  ? new URL("./worker.ts", import.meta.url)
  : new URL("./worker.js", import.meta.url);

/** What cannot be done, in lines for the operator. */
export class WorkerRefusal extends Error {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join("\n"));
    this.name = "WorkerRefusal";
    this.lines = lines;
  }
}

/** Why a thread is no more, or is not to be reckoned with. */
export interface WorkerEnd {
  /** It was told to end. */
  readonly isOrderly: boolean;
  /** A sentence. */
  readonly cause: string;
  /** Where it was, when that is known. */
  readonly err: { readonly type: string; readonly message: string; readonly stack: string } | null;
}

export interface WorkerOutput {
  log(line: string): void;
  access(text: string, lines: number): void;
}

interface Asked {
  readonly resolve: (answer: never) => void;
  readonly reject: (error: Error) => void;
  readonly deadline: NodeJS.Timeout | null;
}

export class WorkerThread {
  readonly setup: WorkerSetup;
  readonly startedMs = Date.now();
  /** Resolves when the thread is gone, or lost; never rejects. */
  readonly ended: Promise<WorkerEnd>;
  state: "starting" | "serving" | "draining" = "starting";
  /** The files that it has read; null: it tells nobody. */
  files: NotedFiles | null = null;
  readonly #worker: Worker;
  readonly #resolveEnded: (end: WorkerEnd) => void;
  /** Questions without an answer, in the order in which they were asked. */
  readonly #asked: Asked[] = [];
  #beats = 0;
  /** How often in a row it was found that the thread had not run. */
  #silences = 0;
  #isEnding = false;
  #isLost = false;
  /** Runs from when the thread was ended until it is gone. */
  #losing: NodeJS.Timeout | null = null;
  /** What whoever asks is told when the thread is no more. */
  #gone: WorkerRefusal | null = null;
  #fault: WorkerEnd["err"] = null;
  #cause: string | null = null;

  /** Throws a WorkerRefusal when the system has no room for another thread. */
  constructor(setup: WorkerSetup, output: WorkerOutput) {
    this.setup = setup;
    this.#worker = begin(setup);
    this.#worker.on("message", (message: FromWorker) => this.#receive(message, output));
    this.#worker.on("error", (error: unknown) => this.#failed(error));
    const { promise, resolve } = Promise.withResolvers<WorkerEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#worker.once("exit", (status) => {
      clearTimeout(this.#losing ?? undefined);
      this.#isLost = false;
      this.#over(status);
    });
  }

  /** It was ended, and still runs: no more JavaScript than what it is in the middle of. The process cannot exit while it does: Node waits for its threads. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** Rejects with a SetupError or a WorkerRefusal; the latter also when the thread ends, or keeps silent for too long. */
  ask<Kind extends QuestionKind>(kind: Kind, asked: Questions[Kind]["asked"]): Promise<Questions[Kind]["answer"]> {
    const ports = kind === "start" || kind === "prepare" ? (asked as Load).caches.map(({ port }) => port) : [];
    if (this.#gone !== null) {
      // Whoever is at their other ends shall not wait for a thread that is no more.
      for (const port of ports) port.close();
      return Promise.reject(this.#gone);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Questions[Kind]["answer"]>();
    // A drain takes as long as it was given.
    const msMax = kind === "drain" ? null : ANSWER_MS_MAX;
    const deadline = msMax === null ? null : setTimeout(() => this.#stuck(msMax), msMax);
    this.#asked.push({ resolve, reject, deadline });
    if (kind === "drain") {
      this.state = "draining";
      this.#isEnding = true;
    }
    this.#worker.postMessage({ kind, asked } as ToWorker, ports);
    return promise;
  }

  /**
   * Looks whether the thread has run since it was looked at last, one `BEAT_MS` ago; ends it when it has not for `msMax`. Times of
   * looking are counted, not time: while the whole process stands still, nobody is silent.
   */
  listen(beats: number, msMax: number): void {
    const isSilent = this.state !== "starting" && beats === this.#beats;
    this.#beats = beats;
    this.#silences = isSilent ? this.#silences + 1 : 0;
    if (this.#silences * BEAT_MS >= msMax) this.#stuck(msMax);
  }

  /** Cuts every connection. */
  cut(): void {
    this.#worker.postMessage({ kind: "cut" } satisfies ToWorker);
  }

  /** Ends the thread in the middle of whatever it does. Resolves as `ended`. */
  async terminate(): Promise<void> {
    this.#isEnding = true;
    this.#terminate();
    await this.ended;
  }

  #terminate(): void {
    if (this.#gone !== null || this.#losing !== null) return;
    this.#losing = setTimeout(() => {
      this.#isLost = true;
      this.#over(null);
    }, TERMINATE_MS_MAX);
    void this.#worker.terminate();
  }

  /** `status`: null when it is lost. */
  #over(status: number | null): void {
    if (this.#gone !== null) return;
    const end = this.#endOf(status);
    this.#gone = new WorkerRefusal([`worker ${this.setup.id} ended: ${end.cause}`]);
    this.#resolveEnded(end);
    for (const { reject, deadline } of this.#asked.splice(0)) {
      clearTimeout(deadline ?? undefined);
      reject(this.#gone);
    }
  }

  #receive(message: FromWorker, output: WorkerOutput): void {
    switch (message.kind) {
      case "log":
        return output.log(message.line);
      case "access":
        return output.access(message.text, message.lines);
      case "files":
        this.files = message.texts;
        return;
      case "fault":
        this.#fault = { type: message.name, message: message.message, stack: message.stack };
        this.#cause = `a fault that nobody caught: ${message.message}`;
        return;
      case "answer":
        return this.#answered(message.answer);
    }
  }

  #answered(answer: Answer): void {
    const asked = this.#asked.shift();
    if (asked === undefined) return;
    clearTimeout(asked.deadline ?? undefined);
    if (answer.ok) asked.resolve(answer.answer as never);
    else asked.reject("problems" in answer ? new SetupError(answer.problems) : new WorkerRefusal(answer.lines));
  }

  /** Of the thread as a whole: before its own handlers were there, or because its memory is used up. */
  #failed(error: unknown): void {
    const { name, message, stack = "", code } = error as NodeJS.ErrnoException;
    if (code === "ERR_WORKER_OUT_OF_MEMORY") {
      this.#cause = "its heap is full (node --max-old-space-size=MB makes it larger)";
      return;
    }
    if (code === "ERR_WORKER_INIT_FAILED") {
      this.#cause = noRoom(message);
      return;
    }
    this.#fault = { type: name, message, stack };
    this.#cause = `a fault that nobody caught: ${message}`;
  }

  #stuck(ms: number): void {
    this.#cause = `it did not answer for ${ms / 1000} s`;
    this.#terminate();
  }

  #endOf(status: number | null): WorkerEnd {
    const isOrderly = this.#isEnding && this.#cause === null && status !== null;
    const cause = this.#cause ?? (this.#isEnding ? "it was told to" : `process.exit(${status}) was called in it`);
    return { isOrderly, cause, err: this.#fault };
  }
}

/** Node throws at once when there can be no thread at all; what a thread lacks that has begun, it tells later. */
function begin(setup: WorkerSetup): Worker {
  try {
    return new Worker(ENTRY, { workerData: setup, name: `headgate worker ${setup.id}` });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw code === "ERR_WORKER_INIT_FAILED" ? new WorkerRefusal([noRoom(message)]) : error;
  }
}

function noRoom(message: string): string {
  return `the system has no room for another thread (${message})`;
}
