/**
 * Asks a server how it is: by a connection, or by a request and the status of its answer. Each time on a connection of its own, by Node's client:
 * it comes every few seconds, in the main thread where there is one, and is not on the path of a request.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import net from "node:net";
import type { Duplex } from "node:stream";
import { INFORMATIONAL_MAX } from "../core/limits.ts";
import { TIMER_MS_MAX } from "./clock.ts";
import type { NameCache } from "./dialing/name-cache.ts";
import { failureOf, type SystemError } from "./failures.ts";

/** How TLS is spoken to a server. Files are read at each check: what is there then is what counts. */
export interface ProbeTls {
  /** For SNI, and to be verified. */
  readonly serverName: string;
  readonly verify: boolean;
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** Paths of PEM files; null: none. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

export interface ProbeTarget {
  /** The path of a unix socket when the port is 0. */
  readonly host: string;
  readonly port: number;
  /** null: plain TCP. */
  readonly tls: ProbeTls | null;
  readonly timeoutMs: number;
  /** null: a connection is enough. */
  readonly request: ProbeRequest | null;
}

export interface ProbeRequest {
  /** Path and query. */
  readonly path: string;
  readonly host: string;
  /** Answers that say that it is well: the first and the last status of each range. */
  readonly statuses: readonly (readonly [first: number, last: number])[];
}

/** Begins to connect. */
type Connect = (where: net.NetConnectOpts) => net.Socket;

/** Rejects with an Error that says what is wrong with the server; `signal` ends it early. */
export async function probeHealth(target: ProbeTarget, names: NameCache, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(Math.min(target.timeoutMs, TIMER_MS_MAX));
  const either = AbortSignal.any([signal, timeout]);
  let socket: net.Socket | null = null;
  try {
    const connect = target.tls === null ? net.connect : await tlsConnect(target.tls);
    // From here until somebody listens nothing waits: a socket may fail before a promise that is settled already goes on.
    socket = open(target, names, connect);
    await connected(socket, target, either);
    if (target.request !== null) await ask(socket, target.request, either);
  } catch (error) {
    if (timeout.aborted) throw new Error(`no answer within ${target.timeoutMs} ms`, { cause: error });
    throw error;
  } finally {
    socket?.destroy();
  }
}

function open({ host, port }: ProbeTarget, names: NameCache, connect: Connect): net.Socket {
  const socket = connect(port === 0 ? { path: host } : { host, port, autoSelectFamily: true, lookup: allIn(names) });
  // Whoever waits for something is told as well. What comes when nobody does is no news, and must not end the process.
  socket.on("error", () => {});
  return socket;
}

/** All addresses of a name, as connections for requests have them: an outage of the resolver is none of the servers. */
function allIn(names: NameCache): net.LookupFunction {
  return (name, _, callback) => {
    names.resolve(name, {
      onResolved: (addresses) => callback(null, [...addresses]),
      onUnresolved: (error) => callback(error, []),
    });
  };
}

async function tlsConnect({ serverName, verify, minVersion, ...files }: ProbeTls): Promise<Connect> {
  const [ca, cert, key] = await Promise.all([files.ca, files.cert, files.key].map(textOf));
  const { checkServerIdentity, connect } = await import("node:tls");
  return (where) =>
    connect({
      ...where,
      minVersion,
      rejectUnauthorized: verify,
      // As SNI an address is not allowed (RFC 6066, section 3).
      servername: net.isIP(serverName) === 0 ? serverName : "",
      checkServerIdentity: (_, certificate) => checkServerIdentity(serverName, certificate),
      ALPNProtocols: ["http/1.1"],
      ...(ca !== null && { ca }),
      ...(cert !== null && key !== null && { cert, key }),
    });
}

async function textOf(path: string | null): Promise<string | null> {
  return path === null ? null : readFile(path, "latin1");
}

async function connected(socket: net.Socket, { host, port, tls }: ProbeTarget, signal: AbortSignal): Promise<void> {
  const address = port === 0 ? `unix:${host}` : `${host.includes(":") ? `[${host}]` : host}:${port}`;
  try {
    await once(socket, tls === null ? "connect" : "secureConnect", { signal });
  } catch (error) {
    throw failureOf(error as SystemError, `cannot connect to ${address}`, "upstream");
  }
}

async function ask(socket: Duplex, { path, host, statuses }: ProbeRequest, signal: AbortSignal): Promise<void> {
  // It takes some memory, and most proxies ask nobody.
  const { request } = await import("node:http");
  const headers = { Host: host, "User-Agent": "headgate-health", Connection: "close" };
  // A query may hold a secret, and what is said here goes to the log.
  const what = `GET ${path.split("?", 1)[0]}`;
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const asked = request({ createConnection: () => socket, path, headers, signal });
  let informational = 0;
  asked.on("information", () => {
    if (++informational > INFORMATIONAL_MAX) asked.destroy(new Error(`${what}: too many interim answers`));
  });
  asked.on("response", ({ statusCode }) => resolve(statusCode!));
  asked.on("upgrade", ({ statusCode }) => resolve(statusCode!));
  asked.on("error", reject);
  asked.on("close", () => reject(new Error("the connection was closed without an answer")));
  asked.end();
  const status = await promise.catch((error: SystemError) => {
    throw error.code === undefined ? error : failureOf(error, what, "upstream");
  });
  if (statuses.some(([first, last]) => first <= status && status <= last)) return;
  throw new Error(`${what}: status ${status}`);
}
