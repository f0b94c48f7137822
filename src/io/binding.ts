/**
 * What binding a listening socket means on every transport: which paths of unix sockets are possible, what becomes of a
 * stale file, and the sentence for every failure. How a socket is bound, the transport decides.
 *
 * A unix socket outlives a process that was killed: its file is replaced when nobody answers on it any more, and only if
 * it is a socket.
 */
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import { describeHostPort } from "./addresses.ts";
import { ListenError, type SystemError } from "./failures.ts";
import type { ListenOptions } from "./transport.ts";

/** Linux cuts it to net.core.somaxconn, 4096 by default. nginx and Node ask for 511, which a burst of clients fills. */
export const BACKLOG = 4096;

/** sockaddr_un.sun_path on Linux, without its closing NUL. Some versions of Node cut longer paths without a word. */
const SOCKET_PATH_BYTES_MAX = 107;

/** How messages name the place: "127.0.0.1:80", ":80" for every address, "unix:/run/app.sock". */
export function describePlace({ host, port, path }: ListenOptions): string {
  return path === null ? describeHostPort(host ?? "", port) : `unix:${path}`;
}

/**
 * Calls `bind`, which rejects with a SystemError, and a second time when a stale file was in the way. Rejects with a
 * ListenError. A descriptor of the caller's is bound already: its file is left as it is.
 */
export async function bindListener(options: ListenOptions, bind: () => Promise<void>): Promise<void> {
  const where = describePlace(options);
  const path = options.descriptor === undefined ? options.path : null;
  if (path !== null && Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    const words = `the path of a unix socket may have at most ${SOCKET_PATH_BYTES_MAX} bytes`;
    throw new ListenError(where, "ENAMETOOLONG", words);
  }
  try {
    try {
      await bind();
    } catch (error) {
      const inUse = (error as SystemError).code === "EADDRINUSE";
      if (path === null || !inUse || !(await removeStaleSocket(path))) throw error;
      await bind();
    }
    if (path !== null && options.mode !== undefined) chmodSync(path, options.mode);
  } catch (error) {
    throw ListenError.from(error as SystemError, where);
  }
}

/** Removes the file of a socket on which nobody listens; false when somebody does or it is no socket. */
async function removeStaleSocket(path: string): Promise<boolean> {
  try {
    if (!lstatSync(path).isSocket()) return false;
  } catch {
    return true;
  }
  const probe = net.connect({ path });
  const isStale = await new Promise<boolean>((resolve) => {
    probe.once("connect", () => resolve(false));
    probe.once("error", (error: SystemError) => resolve(error.code === "ECONNREFUSED" || error.code === "ENOENT"));
  });
  probe.destroy();
  if (!isStale) return false;
  try {
    unlinkSync(path);
  } catch {
    // Gone, or not ours to remove: binding again tells which.
  }
  return true;
}
