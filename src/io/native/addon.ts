/**
 * Finds and loads the addon of the native transport. It decides where an addon may lie and what is said when there is none.
 *
 * This is the one place that knows: a clone and an installed package have it in native/build, a platform's prebuilt package
 * brings it ready, and HEADGATE_ADDON names any other.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { WIRE_VERSION } from "./wire.ts";

/** Memory that both sides use; wire.ts says what is in it. */
export interface SharedMemory {
  readonly receive: ArrayBuffer;
  readonly send: ArrayBuffer;
  /** Int32 */
  readonly events: ArrayBuffer;
  /** Int32 */
  readonly commands: ArrayBuffer;
  /** Float64 by slot: bytes that the kernel has not taken. */
  readonly queued: ArrayBuffer;
  /** Float64 by slot: of a splice that begins there, what came and what went. */
  readonly received: ArrayBuffer;
  readonly sent: ArrayBuffer;
}

/**
 * What the addon exports; one instance a thread. Arguments of a wrong type or out of range throw a TypeError or a RangeError;
 * a negative result is an errno.
 */
export interface Addon {
  readonly wireVersion: number;
  /**
   * Once a thread. `onEvents` is called with the number of events in the record, after every turn in which there were any. So many
   * descriptors at most are left to others: connections are refused with EMFILE before; and so many more to all but clients. In a
   * thread that is ours the addon waits for everybody; in another one libuv does.
   */
  open(
    onEvents: (count: number) => void,
    descriptorsKept: number,
    besideClients: number,
    ownsThread: boolean,
  ): SharedMemory;
  /**
   * Carries out the first `count` commands. With `collect`, events that are waiting are put into the record, and their number
   * is the result; otherwise the number of those that wait.
   */
  submit(count: number, collect: boolean): number;
  /** A slot that accepts connections on a listening socket. An owned one is closed with it, not when this fails. Keep-alive of 0: no probes. */
  listen(descriptor: number, owned: boolean, keepAliveSeconds: number): number;
  closeListener(slot: number): number;
  /** Accepts again, after ACCEPT_FAILED. */
  resumeListener(slot: number): number;
  /** Of a listener. 1: somebody waits to be accepted; 0: nobody does. */
  hasWaiting(slot: number): number;
  /** The slot of a connection that is being made: CONNECTED or CLOSED follows. Port 0: a unix socket's path. */
  connect(address: string, port: number, keepAliveSeconds: number): number;
  /** What the socket takes of it leaves at once. How many events wait, or a negative errno. */
  sendFile(slot: number, descriptor: number, id: number, offset: number, length: number): number;
  splice(from: number, to: number, bytes: number): number;
  /**
   * The descriptor of a connection, which is the caller's from now on, and of which nothing more is told. EBUSY: something has not
   * left yet, or is spliced; EAGAIN: events wait that may be its own; EBADF: it is closed; otherwise what it has failed with.
   */
  release(slot: number): number;
  /** "IP PORT" where a redirected connection had meant to go; null: nobody redirected it. */
  originalOf(slot: number): string | null;
  /** For tests that count what is left. */
  inspect(): { readonly sockets: number; readonly pipes: number };
  /** A listening descriptor of no thread in particular. Port -1: a unix socket's path. */
  bind(address: string, port: number, reusePort: boolean, dualStack: boolean, backlog: number): number;
  /** From now on others with `reusePort` may listen where this listening descriptor does. */
  shareAddress(descriptor: number): number;
  /** "IP PORT" of our own end; null when the descriptor is no socket. */
  nameOf(descriptor: number): string | null;
  /** The same as originalOf, of any socket of this process. */
  originalOfDescriptor(descriptor: number): string | null;
  /** A second descriptor of the same socket. */
  duplicate(descriptor: number): number;
  /** Of a listening socket. */
  closeDescriptor(descriptor: number): number;
}

/** Why there is no addon, in words that can follow "the native transport cannot be used: ". */
export interface AddonMissing {
  readonly reason: string;
}

/** Names another file than the usual ones. */
const VARIABLE = "HEADGATE_ADDON";
const BUILT = path.join(import.meta.dirname, "..", "..", "..", "native", "build", "headgate.node");

/** Once a thread: Node makes the addon's instance when it is loaded first. */
let loaded: Addon | AddonMissing | null = null;

export function loadAddon(): Addon | AddonMissing {
  loaded ??= load();
  return loaded;
}

export function isMissing(addon: Addon | AddonMissing): addon is AddonMissing {
  return "reason" in addon;
}

function load(): Addon | AddonMissing {
  if (process.platform !== "linux") return { reason: `it runs on Linux, and this is ${process.platform}` };
  const require = createRequire(import.meta.url);
  const named = process.env[VARIABLE] ?? "";
  const file = named !== "" ? path.resolve(named) : existsSync(BUILT) ? BUILT : prebuilt();
  try {
    const addon = require(file) as Addon;
    if (addon.wireVersion === WIRE_VERSION) return addon;
    return { reason: `${file} belongs to another version; build it anew with: npm rebuild` };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "MODULE_NOT_FOUND" && !path.isAbsolute(file)) {
      return { reason: `neither ${BUILT} nor ${file} is there; docs/native-transport.md says how it is built` };
    }
    return { reason: `${file} does not load: ${message}` };
  }
}

/** The addon in a package for this platform: @headgate/native-linux-x64, -arm64, and the same with -musl. */
function prebuilt(): string {
  // Without this, the report looks up the names of all open sockets.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  const libc = header.glibcVersionRuntime === undefined ? "-musl" : "";
  return `@headgate/native-linux-${process.arch}${libc}/headgate.node`;
}
