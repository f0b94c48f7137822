// Many clients at once for what a shared cache does not have yet: how often the origin is asked, when the last byte reaches the last
// client, what the proxy's memory does meanwhile. The proxy is a process of its own, with as many workers as there are processors.

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { Authority, issueCertificate } from "./certificates.ts";
import { DnsServer } from "./dns-server.ts";
import { type Download, download } from "./download.ts";
import { ANYWHERE } from "./forward-stage.ts";
import { internalAuthority } from "./interception-stage.ts";
import { ProxyProcess } from "./soak-process.ts";
import { SteadyOrigin } from "./steady-origin.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** What the issue allows. */
export const GROWTH_BYTES_MAX = 64 * MiB;
/** Of one download's time, until the last byte is at the last client. */
export const SLOWER_MAX = 1.2;

export interface CrowdOptions {
  readonly clients: number;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** What connecting so many, and TLS with them, may take besides: it is the same for a short download. */
  readonly connectMs?: number;
}

export interface Crowd extends AsyncDisposable {
  readonly origin: SteadyOrigin;
  readonly proxy: ProxyProcess;
  /** One more client for a file of this name, which nobody else must have asked for if it is to be fetched. */
  join(name: string, bytesPerSecond?: number): Download;
}

const caches = (folder: string) => ({ caches: { files: { directory: `${folder}/cache`, minFree: 0 } } });

/** Clients of a reverse proxy with a cache. */
export async function plainCrowd({ bytes, bytesPerSecond }: Omit<CrowdOptions, "clients">): Promise<Crowd> {
  const origin = await SteadyOrigin.start({ bytes, bytesPerSecond });
  const proxy = await ProxyProcess.start({ use: [{ cache: "files" }], proxy: origin.url }, "auto", caches);
  return {
    origin,
    proxy,
    join: (name, rate) =>
      download({
        port: proxy.port,
        target: `/${name}`,
        bytes,
        ...(rate !== undefined && { bytesPerSecond: rate }),
      }),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
    },
  };
}

/** Clients of a forward proxy that open tunnels, which it looks into. */
export async function interceptedCrowd({ bytes, bytesPerSecond }: Omit<CrowdOptions, "clients">): Promise<Crowd> {
  const world = new Authority("The World");
  const { folder, cert } = await internalAuthority();
  folder.write("world.pem", world.cert);
  const dns = await DnsServer.start((_name, type) => ({ addresses: type === "A" ? ["127.0.0.1"] : [] }));
  const tls = issueCertificate({ names: ["origin.example"], issuer: world });
  const origin = await SteadyOrigin.start({ bytes, bytesPerSecond, tls });
  const forward = {
    allow: [{ ...ANYWHERE, clients: ["127.0.0.0/8"] }],
    dns: { servers: [dns.address] },
    tls: { ca: folder.file("world.pem") },
    intercept: { hosts: ["*.example"], ports: "1-65535", ca: folder.path, cache: folder.file("leaves") },
    tunnelsPerClient: 1_000,
    cache: "files",
  };
  const proxy = await ProxyProcess.start({ forward }, "auto", caches);
  const authority = `origin.example:${origin.port}`;
  return {
    origin,
    proxy,
    join: (name) => download({ port: proxy.port, target: `/${name}`, bytes, tunnel: { authority, ca: cert } }),
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
      await dns[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

const SAMPLE_MS = 50;
/** How many come at most before a crowd is measured. */
const WARM_CLIENTS_MAX = 100;

/**
 * All come at once for one file: it is fetched once, quickly enough for all, and is not held in memory for each. Others come before
 * that for another file: what is loaded and compiled for the first of them, and what TLS takes for a hundred, is not the download's.
 */
export async function passCrowd(
  context: TestContext,
  open: (options: CrowdOptions) => Promise<Crowd>,
  options: CrowdOptions,
): Promise<void> {
  const { clients, bytes, bytesPerSecond, connectMs = 0 } = options;
  await using crowd = await open(options);
  const { origin, proxy } = crowd;
  await Promise.all(Array.from({ length: Math.min(clients, WARM_CLIENTS_MAX) }, () => crowd.join("warm").ended));
  origin.asked.length = 0;
  await using memory = new MemoryWatch(proxy);
  const begunMs = performance.now();
  const all = Array.from({ length: clients }, () => crowd.join("cold"));
  const ends = await Promise.all(all.map(({ ended }) => ended));
  const aloneMs = (bytes / bytesPerSecond) * 1000;
  const tookMs = Math.max(...ends) - begunMs;
  const grownBytes = memory.grownBytes();
  context.diagnostic(
    `${clients} clients, ${bytes / KiB} KiB at ${bytesPerSecond / KiB} KiB/s: the last byte after ${Math.round(tookMs)} ms, ` +
      `${(tookMs / aloneMs).toFixed(2)} of one download; memory grew by ${(grownBytes / MiB).toFixed(1)} MiB`,
  );
  assert.deepEqual(origin.asked, ["all"]);
  const lateMs = tookMs - SLOWER_MAX * aloneMs - connectMs;
  assert.ok(lateMs < 0, `${Math.round(tookMs)} ms, of ${Math.round(aloneMs)} ms alone`);
  assert.ok(grownBytes < GROWTH_BYTES_MAX, `${grownBytes} bytes`);
}

/** The most by which the anonymous memory of the process grows from here on, looked at now and then. */
export class MemoryWatch implements AsyncDisposable {
  readonly #proxy: ProxyProcess;
  readonly #atStart: number;
  #most: number;
  readonly #timer: NodeJS.Timeout;

  constructor(proxy: ProxyProcess) {
    this.#proxy = proxy;
    this.#atStart = this.#most = proxy.anonymousBytes;
    this.#timer = setInterval(() => this.grownBytes(), SAMPLE_MS);
  }

  grownBytes(): number {
    this.#most = Math.max(this.#most, this.#proxy.anonymousBytes);
    return this.#most - this.#atStart;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
  }
}
