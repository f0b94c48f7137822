/**
 * The unix socket of the admin interface. Its file's permissions are the only lock, so it is never there with others than
 * 0600: it is made in a folder that nobody else can enter, and put in its place when it is ready. A file that is there
 * already is replaced only if it is a socket on which nobody answers: the socket of another instance is never taken away.
 */
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { AdminError, describeFailure } from "./admin-error.ts";

/** sockaddr_un.sun_path on Linux, without its closing NUL. */
const SOCKET_PATH_BYTES_MAX = 107;

/** Only the owner may connect. */
const SOCKET_MODE = 0o600;

export interface SocketFile {
  /** There is a file of this name, whosever it is. */
  readonly exists: boolean;
  /** Removes it, unless somebody else has put another one there. */
  remove(): void;
}

/** Lets `server` listen on a socket at `file`. Rejects with an AdminError. */
export async function listenOnSocket(server: net.Server, file: string): Promise<SocketFile> {
  const address = `unix:${file}`;
  let room: string | null = null;
  try {
    room = mkdtempSync(path.join(path.dirname(file), ".headgate-"));
    const made = path.join(room, "s");
    // The link to it may have any length, and nobody could connect by a longer one.
    if (Buffer.byteLength(file) > SOCKET_PATH_BYTES_MAX) {
      throw new AdminError(address, `the path of a unix socket may have at most ${SOCKET_PATH_BYTES_MAX} bytes`);
    }
    if (Buffer.byteLength(made) > SOCKET_PATH_BYTES_MAX) {
      const bytesMax = SOCKET_PATH_BYTES_MAX - (made.length - path.dirname(file).length);
      throw new AdminError(address, `the path of its folder may have at most ${bytesMax} bytes`);
    }
    await listenOn(server, { path: made });
    chmodSync(made, SOCKET_MODE);
    await putInPlace(made, file, room);
    const own = identityOf(file);
    return {
      get exists() {
        return identityOf(file) !== null;
      },
      remove: () => {
        if (own !== null && identityOf(file) === own) rmSync(file, { force: true });
      },
    };
  } catch (error) {
    if (server.listening) server.close();
    throw error instanceof AdminError ? error : new AdminError(address, describeFailure(error), error);
  } finally {
    if (room !== null) rmSync(room, { recursive: true, force: true });
  }
}

/** Resolves when it listens; rejects with the system's error. */
export function listenOn(server: net.Server, options: net.ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...options, exclusive: true }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

/** A link, unlike a rename, never replaces what is there. */
async function putInPlace(made: string, file: string, room: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      linkSync(made, file);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    // Two attempts: the second one fails only when another instance starts in the same moment, and was quicker.
    if (attempt === 2 || !(await removeStale(file, room))) {
      throw new AdminError(`unix:${file}`, "another headgate, which runs, has this socket", null, true);
    }
  }
}

/** Whether a socket on which nobody answers was there, and is gone. Throws an AdminError when it is no socket at all. */
async function removeStale(file: string, room: string): Promise<boolean> {
  const seen = identityOf(file);
  // Gone by itself.
  if (seen === null) return true;
  if (!lstatSync(file).isSocket()) {
    throw new AdminError(`unix:${file}`, "there is a file of this name that is no socket");
  }
  if (await isAnswered(file)) return false;
  // Taken out of the way first and looked at then: it may be another one by now, of an instance that has just started.
  const taken = path.join(room, "stale");
  renameSync(file, taken);
  if (identityOf(taken) === seen) return true;
  linkSync(taken, file);
  return false;
}

/** Device, inode, and when it was made: an inode alone is given again. null: there is no such file. */
function identityOf(file: string): string | null {
  const stats = lstatSync(file, { throwIfNoEntry: false, bigint: true });
  return stats === undefined ? null : `${stats.dev} ${stats.ino} ${stats.mtimeNs}`;
}

/** Whether somebody listens on a socket. Only a refused connection says that nobody does. */
function isAnswered(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(file);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED"));
  });
}

/**
 * Makes the folder of a socket in the temporary folder, where everybody may make one: it must be a real folder of this user
 * that nobody else can enter. Throws an AdminError.
 */
export function makePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      throw new AdminError(`unix:${folder}`, describeFailure(error), error);
    }
  }
  const stats = lstatSync(folder);
  if (!stats.isDirectory() || stats.uid !== process.getuid?.() || (stats.mode & 0o077) !== 0) {
    throw new AdminError(`unix:${folder}`, "the folder must be this user's, and open to nobody else (mode 0700)");
  }
}
