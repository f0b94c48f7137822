/**
 * One question to the admin interface of a running proxy, and its answer. What cannot be had is a CommandError that says which
 * addresses were tried. The socket of the answer is the caller's: its end may be the end of the process.
 */
import { once } from "node:events";
import { lstatSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import type { AdminEndpoint } from "../config/admin-address.ts";
import { findConfigFile } from "../config/load.ts";
import { joinOr } from "../config/problems.ts";
import { fileOf, findEndpoints, type WhichProxy } from "./admin-endpoints.ts";
import { CommandError } from "./command-error.ts";

/** A reload reads certificates and imports plugins before it is answered; a process that is silent for longer hangs. */
const SILENCE_MS_MAX = 60_000;
/** The status of many workers has some KiB. More is no headgate. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export interface AdminAnswer {
  /** Where the proxy was found. */
  readonly address: string;
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  /** Open. Destroy it, or wait for its end. */
  readonly socket: net.Socket;
}

/** What goes with a question besides its path. */
export interface Question {
  /** Sent as JSON. */
  readonly body?: unknown;
  /** How long the proxy may be silent; null: for as long as it is there. */
  readonly silenceMsMax?: number | null;
}

/** Where a service has its configuration. Nobody is taken for the one that is meant there without being named. */
const USUAL_FOLDER = "/etc/headgate";

/** Rejects with a CommandError when there is no answer of a headgate. */
export async function askAdmin(
  method: "GET" | "POST",
  path: string,
  which: WhichProxy,
  question: Question = {},
): Promise<AdminAnswer> {
  const { endpoint, socket } = await connect(await findEndpoints(which), which);
  try {
    const response = await request(socket, method, path, question);
    return { address: endpoint.text, status: response.status, body: parse(response.text), socket };
  } catch (error) {
    socket.destroy();
    throw new CommandError([`${endpoint.text}: ${(error as Error).message}`], undefined, error);
  }
}

async function connect(
  endpoints: readonly AdminEndpoint[],
  which: WhichProxy,
): Promise<{ endpoint: AdminEndpoint; socket: net.Socket }> {
  let first: unknown;
  for (const endpoint of endpoints) {
    try {
      return { endpoint, socket: await connectTo(endpoint) };
    } catch (error) {
      first ??= error;
      const { code } = error as NodeJS.ErrnoException;
      // There is one: another one, at the next place, is not the one that was meant.
      if (code !== "EACCES" && code !== "EPERM") continue;
      const line = `${endpoint.text}: permission denied; the user who runs headgate may open it, and root`;
      throw new CommandError([line], undefined, error);
    }
  }
  const tried = joinOr(endpoints.map(({ text }) => text));
  throw new CommandError([`no headgate answers on ${tried}; ${hintFor(which)}`], undefined, first);
}

function hintFor(which: WhichProxy): string {
  if (which.admin !== undefined) return "does it run, and is this the address of its `admin`?";
  if (which.config !== undefined) return "name its address with --admin";
  const usual = fileOf(which) === null ? findConfigFile(USUAL_FOLDER) : null;
  return `name its address with --admin, or its configuration with --config${usual === null ? "" : ` ${usual}`}`;
}

/** Rejects with the system's error. */
async function connectTo({ address, isGuess }: AdminEndpoint): Promise<net.Socket> {
  if (address.kind === "tcp") return connected(net.connect({ host: address.host!, port: address.port }));
  // A socket that somebody else has put into a folder of everybody's is not the one that we look for.
  const isOurs = !isGuess || [0, process.getuid?.()].includes(lstatSync(address.path).uid);
  if (!isOurs) throw Object.assign(new Error("it belongs to another user"), { code: "EACCES" });
  return connected(net.connect({ path: address.path }));
}

async function connected(socket: net.Socket): Promise<net.Socket> {
  await once(socket, "connect");
  return socket;
}

interface Response {
  readonly status: number;
  readonly text: string;
}

function request(socket: net.Socket, method: string, path: string, question: Question): Promise<Response> {
  const { body, silenceMsMax = SILENCE_MS_MAX } = question;
  return new Promise((resolve, reject) => {
    // Without an agent the socket stays ours when the answer has come.
    const headers = { host: "localhost", connection: "keep-alive", "content-type": "application/json" };
    const asking = http.request({ createConnection: () => socket, method, path, headers });
    socket.setTimeout(silenceMsMax ?? 0, () => asking.destroy(new Error("it does not answer")));
    asking.once("error", (error: NodeJS.ErrnoException) => {
      const isHttp = error.code === undefined || !error.code.startsWith("HPE_");
      reject(isHttp ? error : new Error(NO_HEADGATE, { cause: error }));
    });
    asking.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error(NO_HEADGATE));
      });
      response.once("error", reject);
      response.once("end", () => {
        socket.setTimeout(0);
        resolve({ status: response.statusCode ?? 0, text });
      });
    });
    asking.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

const NO_HEADGATE = "what answers there is no headgate";

function parse(text: string): Readonly<Record<string, unknown>> {
  let value: unknown = null;
  try {
    value = JSON.parse(text);
  } catch {}
  if (typeof value !== "object" || value === null) throw new Error(NO_HEADGATE);
  return value as Readonly<Record<string, unknown>>;
}
