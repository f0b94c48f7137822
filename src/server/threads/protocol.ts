/**
 * What the main thread and a worker say to each other. The main thread asks, one thing after the other, and each question
 * has one answer; between them a worker hands over lines of logs, and says what it dies of.
 *
 * All of it is data that can be cloned, or ports that are given away: a configuration that holds code travels as the text of its file.
 */
import type { Config, LogLevel } from "../../config/config.ts";
import type { WantedTransport } from "../../io/open-transport.ts";
import type { StatesPlace } from "../../upstreams/server-states.ts";
import type { CacheHandout } from "../caches/handout.ts";
import type { SetupProblem } from "../setup-error.ts";
import type { HandedSockets } from "../wanted-listeners.ts";

/** What a worker is born with. */
export interface WorkerSetup {
  /** From 1 on. */
  readonly id: number;
  /** How many workers there are. */
  readonly workers: number;
  /** Its own column wherever memory is shared; nobody else's while it lives. */
  readonly column: number;
  readonly columns: number;
  readonly counters: SharedArrayBuffer;
  /** Failures to authenticate, by address. */
  readonly attempts: SharedArrayBuffer;
  /** Tunnels by address, and what each user of the forward proxy has had. */
  readonly forward: { readonly tunnels: SharedArrayBuffer; readonly users: SharedArrayBuffer };
  /** The BroadcastChannel on which threads tell each other that places for connections may be free. */
  readonly placesChannel: string;
  readonly transport: WantedTransport;
  readonly instance: string;
  readonly ticketSecret: Uint8Array;
  readonly level: LogLevel;
  readonly isForPeople: boolean;
}

export type ConfigSource =
  | { readonly kind: "data"; readonly config: Config }
  /** A program, to be imported here too; `text` is what the main thread has imported. */
  | { readonly kind: "program"; readonly file: string; readonly text: string };

/** The memory that threads share about one upstream. */
export interface UpstreamBlock {
  readonly key: string;
  readonly servers: number;
  readonly states: StatesPlace;
  /** The places for its connections; null: it has no maximum. */
  readonly places: SharedArrayBuffer | null;
}

/** A configuration, and what goes with it. */
export interface Load {
  readonly source: ConfigSource;
  readonly upstreams: readonly UpstreamBlock[];
  /** Each with a way to its keeper, also of those that the worker has: those it closes. */
  readonly caches: readonly CacheHandout[];
}

/** What files held that a configuration names, by path. */
export type NotedFiles = ReadonlyMap<string, string>;

/** What may be asked, and what the answer holds. */
export interface Questions {
  /** Take the first configuration: all that is left to do is to listen. `files`: in the place of a worker that is gone, what that had read. */
  start: { readonly asked: Load & { readonly files: NotedFiles | null }; readonly answer: null };
  listen: { readonly asked: { readonly sockets: HandedSockets }; readonly answer: null };
  /** Make ready for another configuration. What was made ready is then taken into use or taken back. */
  prepare: { readonly asked: Load & { readonly sockets: HandedSockets }; readonly answer: null };
  commit: { readonly asked: null; readonly answer: null };
  rollback: { readonly asked: null; readonly answer: null };
  /** Stop accepting: afterwards nothing is done with the sockets that were handed over. */
  release: { readonly asked: null; readonly answer: null };
  /** Stop accepting, let exchanges end for so long at most, cut the rest, and end. */
  drain: { readonly asked: { readonly ms: number }; readonly answer: { readonly cut: number } };
}

export type QuestionKind = keyof Questions;

export type ToWorker =
  | { [Kind in QuestionKind]: { readonly kind: Kind; readonly asked: Questions[Kind]["asked"] } }[QuestionKind]
  /** Cut every connection now; a drain that waits for them ends. No answer, and before whatever is under way. */
  | { readonly kind: "cut" };

export type Answer =
  | { readonly ok: true; readonly answer: Questions[QuestionKind]["answer"] }
  /** What the machine lacks, or lines for the operator. */
  | { readonly ok: false; readonly problems: readonly SetupProblem[] }
  | { readonly ok: false; readonly lines: readonly string[] };

export type FromWorker =
  | { readonly kind: "answer"; readonly answer: Answer }
  /** Of the application log, ready to be written. */
  | { readonly kind: "log"; readonly line: string }
  /** Of the access log, ready to be written. */
  | { readonly kind: "access"; readonly text: string; readonly lines: number }
  /** The files that it has read. */
  | { readonly kind: "files"; readonly texts: NotedFiles }
  /** The last that is heard of it. */
  | { readonly kind: "fault"; readonly name: string; readonly message: string; readonly stack: string };
