// An admin interface on a real socket, over a control that only notes what it is asked: for tests that speak to it.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import type { AdminLimits } from "../../src/admin/limits.ts";
import { type Admin, type AdminOptions, openAdmin } from "../../src/admin/open.ts";
import type { ListQuery } from "../../src/caching/operating.ts";
import type { AdminConfig } from "../../src/config/config.ts";
import { type AppLog, createAppLog } from "../../src/server/app-log.ts";
import type { CacheAnswer, CacheControl, CacheStatus, PurgeWish } from "../../src/server/caches/control.ts";
import type { Control, ReloadOutcome, Status, UpgradeOutcome } from "../../src/server/control.ts";

export const STATUS: Status = {
  version: "1.2.3",
  node: "26.10.0",
  pid: 4711,
  state: "serving",
  startedAt: "2026-01-02T03:04:05.678Z",
  uptimeSeconds: 93_784,
  config: "/etc/headgate/headgate.yaml",
  transport: "native",
  listeners: [
    { server: "web", url: "http://127.0.0.1:8080", isForward: false },
    { server: "web", url: "unix:/run/web.sock", isForward: false },
  ],
  workers: [
    {
      id: 1,
      state: "serving",
      startedAt: "2026-01-02T03:04:05.700Z",
      restarts: 0,
      lastFault: null,
      connections: 12,
      requests: 345_678,
      faults: 0,
      upstreamConnections: 3,
    },
    {
      id: 2,
      state: "starting",
      startedAt: "2026-01-03T03:04:05.700Z",
      restarts: 2,
      lastFault: "the heap was full",
      connections: 0,
      requests: 0,
      faults: 1,
      upstreamConnections: 0,
    },
  ],
  upstreams: [
    {
      name: "app",
      servers: [
        {
          url: "http://10.0.0.1:3000",
          state: "up",
          since: null,
          reason: null,
          connections: 3,
          requests: 345_678,
          failures: 0,
          badAnswers: 17,
        },
        {
          url: "http://10.0.0.2:3000",
          state: "unreachable",
          since: "2026-01-03T05:06:19.678Z",
          reason: "connection_refused",
          connections: 0,
          requests: 0,
          failures: 7,
          badAnswers: 0,
        },
      ],
    },
    {
      name: "http://127.0.0.1:9000",
      servers: [
        {
          url: "http://127.0.0.1:9000",
          state: "up",
          since: null,
          reason: null,
          connections: 0,
          requests: 0,
          failures: 0,
          badAnswers: 0,
        },
      ],
    },
  ],
  forward: null,
  caches: [],
  lastReload: null,
};

/** Counts of a cache that was used a little. */
export const CACHE: CacheStatus = {
  name: "artifacts",
  directory: "/var/cache/headgate/artifacts",
  bytesMax: 50 * 2 ** 30,
  entries: 3,
  bytes: 5 * 2 ** 20,
  removed: { size: 2, inactive: 0, free: 0, purged: 1, invalidated: 0, replaced: 0, damaged: 0 },
  trouble: null,
  shared: null,
  served: {
    hit: { requests: 6, bytes: 6_000 },
    stale: { requests: 0, bytes: 0 },
    revalidated: { requests: 1, bytes: 500 },
    shared: { requests: 1, bytes: 1_500 },
    miss: { requests: 1, bytes: 1_500 },
    pass: { requests: 1, bytes: 500 },
  },
  hitRatio: 0.8,
  byteHitRatio: 0.8,
  savedBytes: 8_000,
};

const VARIANT = { "accept-encoding": "gzip,br", origin: null };

/** One cache, which notes what it is asked. */
export class StandInCaches implements CacheControl {
  readonly calls: unknown[] = [];
  status: readonly CacheStatus[] = [CACHE];
  damaged: readonly string[] = [];

  stats(): readonly CacheStatus[] {
    return this.status;
  }

  async list(cache: string | null, query: ListQuery): ReturnType<CacheControl["list"]> {
    this.calls.push(["list", cache, query]);
    const url = "https://mirror.example.org/pool/a.deb";
    const entry = {
      url,
      status: 200,
      bytes: 2048,
      ageSeconds: 90,
      freshSeconds: 3_600,
      uses: 2,
      tags: ["a"],
      variant: {},
    };
    const stale = {
      ...entry,
      url: "https://mirror.example.org/\x1b]0;x",
      bytes: 1,
      freshSeconds: -5,
      tags: [],
      variant: VARIANT,
    };
    return this.#answer(cache, { matching: 7, entries: [entry, stale] });
  }

  async purge(cache: string | null, wish: PurgeWish, isSoft: boolean): ReturnType<CacheControl["purge"]> {
    this.calls.push(["purge", cache, wish, isSoft]);
    if (wish.text === "nonsense") return { ok: false, why: "no pattern", reason: "nonsense is nothing" };
    return this.#answer(cache, { entries: 2 });
  }

  async verify(cache: string | null): ReturnType<CacheControl["verify"]> {
    this.calls.push(["verify", cache]);
    return this.#answer(cache, { entries: 3, bytes: 4_096, damaged: this.damaged });
  }

  #answer<T>(cache: string | null, answer: T): CacheAnswer<T> {
    if (cache !== null && cache !== "artifacts") {
      return { ok: false, why: "no such cache", reason: `no cache has the name ${cache}` };
    }
    return { ok: true, caches: [{ name: "artifacts", ...answer }] };
  }
}

export class StandInControl implements Control {
  readonly caches = new StandInCaches();
  readonly calls: string[] = [];
  statusNow: Status = STATUS;
  reloading: () => Promise<ReloadOutcome> = async () => ({
    kind: "loaded",
    change: "nothing has changed",
    warnings: [],
  });

  status(): Status {
    this.calls.push("status");
    return this.statusNow;
  }

  upgrading: () => Promise<UpgradeOutcome> = async () => ({ kind: "replaced", pid: 4712 });

  upgrade(): Promise<UpgradeOutcome> {
    this.calls.push("upgrade");
    return this.upgrading();
  }

  reload(): Promise<ReloadOutcome> {
    this.calls.push("reload");
    return this.reloading();
  }

  drain(): void {
    this.calls.push("drain");
  }

  stop(): void {
    this.calls.push("stop");
  }
}

export interface LogEntry {
  readonly level: string;
  readonly msg: string;
}

export class Log {
  readonly entries: LogEntry[] = [];
  readonly log: AppLog = createAppLog({
    level: "trace",
    isForPeople: false,
    write: (line) => this.entries.push(JSON.parse(line) as LogEntry),
  });

  /** `info admin on unix:...` */
  get lines(): readonly string[] {
    return this.entries.map(({ level, msg }) => `${level} ${msg}`);
  }
}

export interface Asked {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface AskOptions {
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
}

export type Where = "unix" | "tcp";

export class AdminStage {
  readonly control = new StandInControl();
  readonly output = new Log();
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "headgate-admin-"));
  readonly #opened: Admin[] = [];

  static async start(where: Where = "unix", limits: Partial<AdminLimits> = {}): Promise<AdminStage> {
    const stage = new AdminStage();
    await stage.open(where === "unix" ? unixAt(stage.socketPath) : ANY_PORT, { limits });
    return stage;
  }

  get socketPath(): string {
    return path.join(this.folder, "admin.sock");
  }

  /** Null as openAdmin has it. */
  async open(
    admin: AdminConfig,
    options: Pick<AdminOptions, "current" | "limits" | "places"> = {},
  ): Promise<Admin | null> {
    const opened = await openAdmin({ admin, control: this.control, log: this.output.log, ...options });
    if (opened !== null) this.#opened.push(opened);
    return opened;
  }

  get admin(): Admin {
    return this.#opened[0]!;
  }

  get port(): number {
    return Number(/:(\d+)$/.exec(this.admin.address)?.[1]);
  }

  get #target(): { readonly socketPath: string } | { readonly host: string; readonly port: number } {
    const { address } = this.admin;
    if (address.startsWith("unix:")) return { socketPath: address.slice("unix:".length) };
    return { host: "127.0.0.1", port: this.port };
  }

  /** One request on a connection of its own. */
  async ask(method: string, target: string, { headers = {}, body = "" }: AskOptions = {}): Promise<Asked> {
    const request = http.request({ ...this.#target, agent: false, method, path: target, headers });
    request.end(body);
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    let text = "";
    for await (const part of response.setEncoding("utf8")) text += part;
    const json = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
    return { status: response.statusCode ?? 0, headers: response.headers, text, json };
  }

  /** A POST as our own commands send it. */
  post(target: string, body = "", headers: http.OutgoingHttpHeaders = {}): Promise<Asked> {
    return this.ask("POST", target, { headers: { "content-type": "application/json", ...headers }, body });
  }

  async connect(): Promise<net.Socket> {
    const target = this.#target;
    const socket = "socketPath" in target ? net.connect(target.socketPath) : net.connect(target);
    await once(socket, "connect");
    return socket;
  }

  /** What a connection gives until it ends. */
  async raw(bytes: string): Promise<string> {
    const socket = await this.connect();
    socket.setEncoding("utf8").write(bytes);
    let text = "";
    for await (const part of socket) text += part;
    return text;
  }

  [Symbol.dispose](): void {
    for (const admin of this.#opened) admin.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function unixAt(file: string): AdminConfig {
  return { kind: "listen", address: { kind: "unix", path: file } };
}

const ANY_PORT: AdminConfig = { kind: "listen", address: { kind: "tcp", host: "127.0.0.1", port: 0 } };
