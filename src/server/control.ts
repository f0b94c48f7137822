/**
 * What may be asked of a running proxy as a whole: by signals, and by whoever speaks to its admin address. Everything that
 * is told is plain data, ready to be written as JSON, and never holds a secret.
 */
import type { UserCounts } from "../forward/user-counts.ts";
import type { CacheControl, CacheStatus } from "./caches/control.ts";

export interface Control {
  /** Never waits: what it tells of the workers, it reads from memory that they share. */
  status(): Status;
  /** Reads the configuration's file again. Never rejects; an outcome that is not "loaded" has changed nothing. */
  reload(): Promise<ReloadOutcome>;
  /**
   * Starts the program again beside this process, which goes on with what is under way and then ends. Never rejects; an outcome that is
   * not "replaced" has changed nothing.
   */
  upgrade(): Promise<UpgradeOutcome>;
  /** Begins what SIGTERM begins, and returns; a second call changes nothing. */
  drain(): void;
  /** Begins what a second SIGTERM begins (everything is cut off, the process ends), and returns. */
  stop(): void;
  /** What operators may ask of the caches, and have them do. */
  readonly caches: CacheControl;
}

export type ReloadOutcome =
  /** What changed, in a sentence; and lines about what is possible but hardly meant. */
  | { readonly kind: "loaded"; readonly change: string; readonly warnings: readonly string[] }
  /** Lines, each with its place in the file; the old configuration goes on serving. */
  | { readonly kind: "failed"; readonly problems: readonly string[] }
  /** Nothing was tried: there is no file, or the process is about to end. A sentence. */
  | { readonly kind: "refused"; readonly reason: string };

export type UpgradeOutcome =
  /** The process of this number serves now. */
  | { readonly kind: "replaced"; readonly pid: number }
  /** It did not come up: a sentence, and what it found wrong, in lines. */
  | { readonly kind: "failed"; readonly reason: string; readonly problems: readonly string[] }
  /** Nothing was tried: a sentence. */
  | { readonly kind: "refused"; readonly reason: string };

export interface Status {
  readonly version: string;
  /** Of Node.js. */
  readonly node: string;
  readonly pid: number;
  /** Draining: it has been told to end. */
  readonly state: "serving" | "draining";
  /** ISO 8601. */
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  /** Absolute path of the configuration's file; null: the command line was the configuration. */
  readonly config: string | null;
  /** "native" or "net". */
  readonly transport: string;
  readonly listeners: readonly ListenerStatus[];
  /** In the order of their numbers; behind them those that a reload has replaced and that still have connections. */
  readonly workers: readonly WorkerStatus[];
  /** In the order of the configuration. */
  readonly upstreams: readonly UpstreamStatus[];
  /** What the users of the forward proxy have had since the start, of all workers; null: nobody has used it. */
  readonly forward: ForwardStatus | null;
  /** By name, in the order of the configuration. */
  readonly caches: readonly CacheStatus[];
  /** null: there was none since the start. */
  readonly lastReload: ReloadStatus | null;
}

export interface ListenerStatus {
  /** The server's name in the configuration. */
  readonly server: string;
  /** As in the start-up line: `http://127.0.0.1:8080`, `https://localhost:8443 (all addresses)`, `unix:/run/web.sock`. */
  readonly url: string;
  /** Clients ask here as they ask a forward proxy, over HTTP. */
  readonly isForward: boolean;
}

export interface WorkerStatus {
  /** From 1 on; a worker that takes another one's place takes its number. */
  readonly id: number;
  /** Dead: it will be started again after a while. Ended: it will not, the proxy is about to end. */
  readonly state: "starting" | "serving" | "draining" | "dead" | "ended";
  /** Of this thread, ISO 8601. */
  readonly startedAt: string;
  /** How often a worker of this number has died while it served. */
  readonly restarts: number;
  /** Why the last one died, in a sentence; null: none has. */
  readonly lastFault: string | null;
  /** Client connections that are open. */
  readonly connections: number;
  /** Exchanges that have ended, since this thread's start. */
  readonly requests: number;
  /** Exchanges that failed by a fault of ours or of a plugin's, since this thread's start. */
  readonly faults: number;
  /** Connections to upstreams that are open, idle ones included. */
  readonly upstreamConnections: number;
}

/** What all workers have found and counted since the configuration has its list of servers. */
export interface UpstreamStatus {
  /** As in `upstreams`; the URL of a server that has no other name. */
  readonly name: string;
  readonly servers: readonly ServerStatus[];
}

export interface ServerStatus {
  readonly url: string;
  /**
   * Unreachable: no connection could be made to it when that was last tried. Failing: its health checks say so. It is left out then,
   * unless there is no other.
   */
  readonly state: "up" | "unreachable" | "failing";
  /** Since when it is not up, ISO 8601; null: it is. */
  readonly since: string | null;
  /** Why it is not up: an error type of RFC 9209, or what the check found that decided; null: it is. */
  readonly reason: string | null;
  /** Open ones, idle ones included. */
  readonly connections: number;
  /** Attempts that had a connection to it, those that failed then included. */
  readonly requests: number;
  /** Connections that could not be made. */
  readonly failures: number;
  /** Requests that it had and did not answer: in no time, not to the end, or with what is no HTTP. */
  readonly badAnswers: number;
}

/** Bytes of bodies and tunnels, counted when an exchange ends. */
export interface ForwardStatus {
  /** Those with the most bytes first. */
  readonly users: readonly (UserCounts & { readonly user: string })[];
  /** Of those who have not said who they are; null: there were none. */
  readonly unnamed: UserCounts | null;
  /** Of users beyond those that are told apart, in one sum; null: there were none. */
  readonly others: UserCounts | null;
}

export interface ReloadStatus {
  /** ISO 8601. */
  readonly at: string;
  readonly outcome: Exclude<ReloadOutcome, { readonly kind: "refused" }>;
}
