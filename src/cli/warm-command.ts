/**
 * `headgate cache warm`: fetches URLs through the running proxy as a client of its own listeners would, so that what it gets is what
 * clients get, by the same rules. It says of each URL that is not stored afterwards why.
 */
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import type { ListenerStatus, Status } from "../server/control.ts";
import { answered, askAdmin, print } from "./admin-answers.ts";
import type { WhichProxy } from "./admin-endpoints.ts";
import { CommandError, STATUS_FAILED, STATUS_USAGE } from "./command-error.ts";
import { formatBytes, withoutControls } from "./status-report.ts";
import { type Entrance, entranceOf, type Fetched, WarmClient } from "./warm-client.ts";

export interface WarmOptions extends WhichProxy {
  readonly parallel: string;
  readonly server?: string;
  readonly authFile?: string;
}

/** More connections than that from one machine are a load test. */
const PARALLEL_MAX = 256;

export async function warm(file: string, { parallel, server, authFile, ...which }: WarmOptions): Promise<void> {
  const places = Number(parallel);
  if (!Number.isInteger(places) || places < 1 || places > PARALLEL_MAX) {
    throw usage(
      `option '--parallel <n>': expected a number from 1 to ${PARALLEL_MAX}, got ${JSON.stringify(parallel)}`,
    );
  }
  const urls = urlsOf(file === "-" ? await text(process.stdin) : readGiven(file), file);
  const credentials = authFile === undefined ? null : readGiven(authFile).replace(/\r?\n$/, "");
  const { body } = await answered(askAdmin("GET", "/status", which));
  const client = new WarmClient(chooseEntrance(body as unknown as Status, server), credentials);
  const tally = new Tally();
  const waiting = urls.values();
  const work = async (): Promise<void> => {
    for (const url of waiting) tally.add(url, await client.fetch(url));
  };
  await Promise.all(Array.from({ length: Math.min(places, urls.length) }, work));
  client.close();
  print([tally.summary(urls.length)]);
  if (tally.hasFailed) process.exitCode = STATUS_FAILED;
}

/** The URLs in the order of their lines, each once. */
function urlsOf(list: string, file: string): readonly string[] {
  const urls = new Set<string>();
  for (const [index, line] of list.split(/\r?\n/).entries()) {
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const url = URL.parse(trimmed);
    if (url === null || !/^https?:$/.test(url.protocol)) {
      throw new CommandError([
        withoutControls(`${file}:${index + 1}: expected a URL such as https://a.example/b, got "${trimmed}"`),
      ]);
    }
    urls.add(trimmed);
  }
  if (urls.size === 0) throw new CommandError([`${file}: no URL is in it`]);
  return [...urls];
}

function readGiven(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new CommandError([`cannot read ${file}: ${reasonOf(error)}`], STATUS_FAILED, error);
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  return code === "EISDIR" ? "it is a folder" : (code ?? message);
}

/** Where the proxy is asked: as a forward proxy where it is one. */
function chooseEntrance({ listeners }: Status, named: string | undefined): Entrance {
  const usable = listeners.flatMap((listener) => {
    const entrance = entranceOf(listener);
    return entrance === null ? [] : [{ server: listener.server, entrance }];
  });
  const names = [...new Set(usable.map(({ server }) => server))];
  const candidates = named === undefined ? proxiesFirst(listeners, names) : names.filter((server) => server === named);
  const [server, ...others] = candidates;
  if (server === undefined) {
    const there = names.length === 0 ? "none listens for HTTP" : `there is ${names.join(", ")}`;
    throw usage(
      named === undefined
        ? `no server can be asked: ${there}`
        : `no server has the name ${JSON.stringify(named)}; ${there}`,
    );
  }
  if (others.length > 0)
    throw usage(`more than one server could be meant: name one with --server (${candidates.join(", ")})`);
  return usable.find((one) => one.server === server)!.entrance;
}

function proxiesFirst(listeners: readonly ListenerStatus[], names: readonly string[]): readonly string[] {
  const proxies = names.filter((name) => listeners.some(({ server, isForward }) => isForward && server === name));
  return proxies.length > 0 ? proxies : names;
}

/** What came of all of them. */
class Tally {
  #stored = 0;
  #bytes = 0;
  #there = 0;
  #unknown = 0;
  #notStored = 0;
  #failed = 0;

  add(url: string, fetched: Fetched): void {
    switch (fetched.kind) {
      case "stored":
        this.#stored++;
        this.#bytes += fetched.bytes;
        return;
      case "there":
        this.#there++;
        return;
      case "unknown":
        this.#unknown++;
        this.#bytes += fetched.bytes;
        return;
      case "not stored":
        this.#notStored++;
        break;
      case "failed":
        this.#failed++;
        break;
    }
    console.error(withoutControls(`${url}: ${fetched.kind}: ${fetched.reason}`));
  }

  get hasFailed(): boolean {
    return this.#notStored + this.#failed > 0;
  }

  summary(all: number): string {
    const parts = [
      [this.#stored, `stored (${formatBytes(this.#bytes)})`],
      [this.#there, "there already"],
      [this.#unknown, `fetched (${formatBytes(this.#bytes)}), by a cache that does not say what it did`],
      [this.#notStored, "not stored"],
      [this.#failed, "failed"],
    ] as const;
    const told = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
    return `${all} ${all === 1 ? "URL" : "URLs"}: ${told.join(", ")}`;
  }
}

function usage(message: string): CommandError {
  return new CommandError([`error: ${message}`], STATUS_USAGE);
}
