/**
 * Opens the admin interface where the configuration says. An address that the file names must be had; `auto` is a courtesy,
 * so that a machine that has no place for it, or whose place another instance has, costs a warning and nothing else.
 */
import { statSync } from "node:fs";
import type { AddressInfo, Server } from "node:net";
import path from "node:path";
import { type AdminSocketPlace, adminSocketPlaces } from "../config/admin-address.ts";
import type { AdminConfig } from "../config/config.ts";
import { formatListenAddress, type ListenAddress } from "../core/option-addresses.ts";
import type { AppLog } from "../server/app-log.ts";
import type { Control } from "../server/control.ts";
import { AdminError, describeFailure } from "./admin-error.ts";
import { cacheOperations } from "./cache-operations.ts";
import { controlOperations } from "./control-operations.ts";
import { ADMIN_LIMITS, type AdminLimits } from "./limits.ts";
import { AdminServer } from "./server.ts";
import { listenOn, listenOnSocket, makePrivateFolder } from "./socket-file.ts";

export interface AdminOptions {
  readonly admin: AdminConfig;
  readonly control: Control;
  readonly log: AppLog;
  /** The one that is open: given back when it has the address already, and can be reached there. */
  readonly current?: Admin | null;
  readonly limits?: Partial<AdminLimits>;
  /** Where the socket of `auto` may be; by default the places of the user who runs this process. */
  readonly places?: readonly AdminSocketPlace[];
}

/** An admin interface that is open. */
export interface Admin {
  /** "unix:/run/headgate.sock", or "127.0.0.1:9000" with the port that it really has. */
  readonly address: string;
  /** Somebody has removed the socket's file: nobody can connect any more. */
  readonly isLost: boolean;
  /** Removes the socket's file and accepts no more; answers under way are given. Returns at once. */
  close(): void;
}

/**
 * null: it is off, or `auto` and not to be had, which is in the log then. Rejects with an AdminError when the address that the
 * configuration names is not to be had.
 */
export async function openAdmin(options: AdminOptions): Promise<Admin | null> {
  const { admin } = options;
  switch (admin.kind) {
    case "off":
      return null;
    case "listen":
      return openAt(admin.address, options);
    case "auto":
      return openAuto(options);
  }
}

function isOfAnotherUser(folder: string): boolean {
  const owner = statSync(folder, { throwIfNoEntry: false })?.uid;
  return owner !== undefined && owner !== process.getuid?.();
}

async function openAuto(options: AdminOptions): Promise<Admin | null> {
  const { log } = options;
  const places = options.places ?? adminSocketPlaces(process.getuid?.() ?? null, process.env);
  const problems: string[] = [];
  for (const { path: file, isTemporary } of places) {
    const folder = path.dirname(file);
    try {
      if (isTemporary) makePrivateFolder(folder);
      // As with sudo, which may keep XDG_RUNTIME_DIR: whoever owns the folder could put another socket in its place.
      else if (isOfAnotherUser(folder)) throw new AdminError(`unix:${file}`, "its folder belongs to another user");
      return await openAt({ kind: "unix", path: file }, options);
    } catch (error) {
      if (!(error instanceof AdminError)) throw error;
      problems.push(error.message);
      // The next place would do, but there nobody would look for this instance.
      if (error.isTaken) break;
    }
  }
  for (const problem of problems) log.warn(problem);
  log.warn('there is no admin interface: "admin" in the configuration may name an address, or be "off"');
  return null;
}

async function openAt(address: ListenAddress, options: AdminOptions): Promise<Admin> {
  const { control, log, limits, current = null } = options;
  if (current?.address === formatListenAddress(address) && !current.isLost) return current;
  const isPort = address.kind === "tcp";
  const operations = [...controlOperations(control), ...cacheOperations(control.caches)];
  const admin = new AdminServer({ operations, isPort, limits: { ...ADMIN_LIMITS, ...limits }, log });
  const file = isPort ? await listenOnPort(admin.server, address) : await listenOnSocket(admin.server, address.path);
  // Such as too many open files, when somebody connects: no reason for the process to end.
  admin.server.on("error", (err) => log.warn({ err }, "admin cannot accept a connection"));
  const port = isPort ? (admin.server.address() as AddressInfo).port : 0;
  const opened = formatListenAddress(isPort ? { ...address, port } : address);
  log.info(`admin on ${opened}`);
  return {
    address: opened,
    get isLost() {
      return file?.exists === false;
    },
    close: () => {
      file?.remove();
      admin.close();
    },
  };
}

async function listenOnPort(server: Server, address: ListenAddress & { readonly kind: "tcp" }): Promise<null> {
  try {
    await listenOn(server, { host: address.host!, port: address.port });
    return null;
  } catch (error) {
    throw new AdminError(formatListenAddress(address), describeFailure(error), error);
  }
}
