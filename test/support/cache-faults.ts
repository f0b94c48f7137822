// A proxy whose caches lose their disks while it serves: one is full, one may not be written to, of one the folder is removed. Each
// cache has a route of its own. The full one is a small file system of memory, in a mount namespace of the proxy's own, and the proxy is
// root without root's right to write everywhere: both end with it. What is mounted there is reached by /proc.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, closeSync, openSync, readdirSync, rmSync, writeSync } from "node:fs";
import http from "node:http";
import path from "node:path";
import { TestFolder } from "./folder.ts";
import { Origin } from "./origin.ts";
import { Program } from "./program.ts";
import { findCommand } from "./requirements.ts";
import { needsProc } from "./soak-process.ts";
import { untilTrue } from "./soak-wait.ts";

const KiB = 1024;
const COMMANDS = ["unshare", "mount", "setpriv"];
/** Holds the books, and some bodies. */
const DISK = "size=8m";
const WITHOUT_OVERRIDE = "--bounding-set=-dac_override,-dac_read_search";

/** For the `skip` option of node:test. */
export function needsMounts(): string | false {
  if (needsProc) return needsProc;
  const missing = COMMANDS.filter((command) => findCommand(command) === null);
  if (missing.length > 0) return `skipped: needs ${missing.join(" and ")}`;
  const trial = ["-m", "sh", "-c", `mount -t tmpfs -o ${DISK} none /mnt && exec setpriv ${WITHOUT_OVERRIDE} true`];
  const { status, stderr } = spawnSync("unshare", trial, { encoding: "utf8" });
  return status === 0 ? false : `skipped: needs root, for a file system of its own: ${stderr.trim()}`;
}

export const CACHES = ["full", "denied", "gone"] as const;
export type CacheName = (typeof CACHES)[number];

export interface Got {
  readonly status: number;
  readonly body: Buffer;
  /** false: it broke off. */
  readonly isWhole: boolean;
  /** Of Cache-Status, without what differs from time to time. */
  readonly cacheStatus: string;
}

/** What the origin has: `/full/large/1` is larger than a record holds, `/full/small/1` is not. */
export function bodyOf(target: string): Buffer {
  return Buffer.alloc(target.includes("/large/") ? 500 * KiB : 3 * KiB, `${target};`);
}

export class FaultyDisks implements AsyncDisposable {
  readonly origin: Origin;
  readonly proxy: Program;
  readonly port: number;
  readonly #folder: TestFolder;

  private constructor(folder: TestFolder, origin: Origin, proxy: Program, port: number) {
    this.#folder = folder;
    this.origin = origin;
    this.proxy = proxy;
    this.port = port;
  }

  static async start(): Promise<FaultyDisks> {
    const folder = new TestFolder();
    const origin = await Origin.start(({ url = "" }, response) => {
      const body = bodyOf(url);
      response.writeHead(200, { "Cache-Control": "max-age=3600", ETag: '"1"', "Content-Length": body.length });
      response.end(body);
    });
    const directoryOf = (name: CacheName): string => (name === "full" ? "/mnt/cache" : folder.file(name));
    const config = {
      workers: 2,
      log: { access: "off" },
      admin: { listen: `unix:${folder.file("admin.sock")}` },
      caches: Object.fromEntries(
        CACHES.map((name) => [name, { directory: directoryOf(name), size: "64MiB", minFree: 0 }]),
      ),
      servers: {
        web: {
          listen: "127.0.0.1:0",
          routes: CACHES.map((name) => ({ match: { path: `/${name}/*` }, use: [{ cache: name }], proxy: origin.url })),
        },
      },
    };
    const file = folder.write("headgate.json", JSON.stringify(config));
    const node = [process.execPath, "--conditions=headgate-source", "--disable-sigusr1", "src/cli/main.ts"];
    const inside = `mount -t tmpfs -o ${DISK} none /mnt && exec setpriv ${WITHOUT_OVERRIDE} "$@"`;
    const proxy = Program.command("unshare", ["-m", "sh", "-c", inside, "sh", ...node, "run", "--config", file]);
    const [, port] = await proxy.until(/web on http:\/\/127\.0\.0\.1:(\d+)/);
    return new FaultyDisks(folder, origin, proxy, Number(port));
  }

  /** From now on nothing can be written there. */
  break(name: CacheName): void {
    if (name === "full") this.#fill();
    else if (name === "denied") this.#setMode(0o500);
    else rmSync(this.#folder.file(name), { recursive: true });
  }

  /** It works again; what is removed does not come back. */
  mend(name: Exclude<CacheName, "gone">): void {
    if (name === "full") rmSync(this.#filler);
    else this.#setMode(0o700);
  }

  get(target: string): Promise<Got> {
    return get(this.port, target);
  }

  /** Whole and right, or it fails. */
  async expect(target: string): Promise<string> {
    const { status, body, isWhole, cacheStatus } = await this.get(target);
    assert.deepEqual([status, isWhole], [200, true], `${target} ${cacheStatus}`);
    assert.ok(body.equals(bodyOf(target)), `${target} ${cacheStatus}`);
    return cacheStatus;
  }

  /** Asks until it comes out of the cache: a commit may come later than the answer. */
  async untilHit(target: string): Promise<void> {
    let isHit = false;
    while (!isHit) isHit = (await this.expect(target)) === "headgate; hit";
  }

  /** Lines of the log that say whether answers of a cache are stored, without what stands around that. */
  logOf(name: CacheName): readonly string[] {
    const lines = this.proxy.output
      .split("\n")
      .filter((line) => line.includes(`cache ${name}:`) && /stored/.test(line));
    return lines.map((line) => line.slice(line.indexOf(`cache ${name}:`)).replace(/".*$/s, ""));
  }

  /** What `headgate cache stats` shows. */
  async stats(): Promise<string> {
    const admin = `unix:${this.#folder.file("admin.sock")}`;
    await using command = Program.headgate(["cache", "stats", "--admin", admin]);
    assert.equal(await command.exit(), 0, command.output);
    return command.output;
  }

  async untilStoring(name: CacheName): Promise<void> {
    let number = 0;
    let isAsking = false;
    await untilTrue(
      () => {
        // Only what is really stored says that it is over.
        if (!isAsking) {
          isAsking = true;
          void this.expect(`/${name}/large/again-${number++}`).then(() => {
            isAsking = false;
          });
        }
        return this.logOf(name).some((line) => line.includes("answers are stored again"));
      },
      () => this.proxy.output,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.origin[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }

  get #filler(): string {
    return path.join("/proc", String(this.proxy.pid), "root", "mnt", "filler");
  }

  #fill(): void {
    const file = openSync(this.#filler, "w");
    const piece = Buffer.alloc(4 * KiB);
    try {
      for (;;) writeSync(file, piece);
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    } finally {
      closeSync(file);
    }
  }

  #setMode(mode: number): void {
    const bodies = path.join(this.#folder.file("denied"), "bodies");
    for (const name of readdirSync(bodies)) chmodSync(path.join(bodies, name), mode);
  }
}

export function get(port: number, target: string, agent: http.Agent | false = false): Promise<Got> {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const request = http.get({ port, host: "127.0.0.1", path: target, agent });
  request.on("error", reject);
  request.on("response", (response) => {
    const pieces: Buffer[] = [];
    const cacheStatus = String(response.headers["cache-status"]).replace(/; ttl=-?\d+/, "");
    const done = (isWhole: boolean): void =>
      resolve({ status: response.statusCode!, body: Buffer.concat(pieces), isWhole, cacheStatus });
    response.on("data", (piece: Buffer) => pieces.push(piece));
    response.on("end", () => done(response.complete));
    response.on("error", () => done(false));
  });
  return promise;
}
