// Two proxies, as on two machines, whose caches are shared by Redis: what one has, the other does not fetch; what becomes invalid at
// one, is so at the other.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { type RawAnswer, RawClient } from "../support/raw-client.ts";
import { RedisServer } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 60_000, skip: needs("redis-server") };

/** By what two machines share: servers, and how a configuration says so. */
interface Between {
  readonly servers: readonly RedisServer[];
  /** `caches.NAME.shared`, and the `stores` that it may name. */
  readonly shared: string;
  readonly stores?: Readonly<Record<string, unknown>>;
}

class Machines implements AsyncDisposable {
  readonly between: Between;
  readonly origin: Origin;
  /** What the origin was asked for. */
  readonly asked: string[];
  readonly proxies: ProxyUnderTest[] = [];
  readonly #folders: TestFolder[] = [];

  private constructor(between: Between, origin: Origin, asked: string[]) {
    this.between = between;
    this.origin = origin;
    this.asked = asked;
  }

  static async start(between: Between): Promise<Machines> {
    const asked: string[] = [];
    const origin = await Origin.start((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      if (request.method === "GET") response.setHeader("Cache-Control", "max-age=3600");
      response.end(`answer ${asked.length}`);
    });
    const machines = new Machines(between, origin, asked);
    for (let count = 0; count < 2; count++) await machines.#add();
    return machines;
  }

  async ask(index: number, path: string, method = "GET"): Promise<RawAnswer> {
    const client = await RawClient.connect(this.proxies[index]!.port("web"));
    // The same name, since clients know both by it.
    client.send(`${method} ${path} HTTP/1.1\r\nHost: files.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    const answer = await client.answer();
    client.reset();
    return answer;
  }

  /** Asks until it is answered so. */
  async until(index: number, path: string, isIt: (answer: RawAnswer) => boolean): Promise<RawAnswer> {
    for (;;) {
      const answer = await this.ask(index, path);
      if (isIt(answer)) return answer;
    }
  }

  async #add(): Promise<void> {
    const folder = new TestFolder();
    this.#folders.push(folder);
    const cache = { directory: folder.file("cache"), minFree: 0, shared: this.between.shared };
    const { stores = {} } = this.between;
    const web = { listen: "127.0.0.1:0", use: [{ cache: "artifacts" }], proxy: this.origin.url };
    this.proxies.push(await ProxyUnderTest.start({ stores, caches: { artifacts: cache }, servers: { web } }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    await this.origin[Symbol.asyncDispose]();
    await Promise.all(this.between.servers.map((server) => server[Symbol.asyncDispose]()));
    for (const folder of this.#folders) folder[Symbol.dispose]();
  }
}

function isHit({ fields }: RawAnswer): boolean {
  return /; hit/.test(fields.get("cache-status") ?? "");
}

async function plain(): Promise<Between> {
  const server = await RedisServer.start();
  return { servers: [server], shared: server.url };
}

async function overTls(folder: TestFolder): Promise<Between> {
  const authority = new Authority();
  const { cert, key } = issueCertificate({ names: ["redis.test"], issuer: authority });
  const files = { ca: authority.cert, cert, key };
  for (const [name, text] of Object.entries(files)) writeFileSync(folder.file(name), text);
  const args = ["--tls-cert-file", folder.file("cert"), "--tls-key-file", folder.file("key")];
  args.push("--tls-ca-cert-file", folder.file("ca"), "--tls-auth-clients", "no", "--requirepass", "p@ss");
  const server = await RedisServer.start({ args, isTls: true });
  const farm = {
    url: `rediss://127.0.0.1:${server.port}/3`,
    password: "p@ss",
    tls: { ca: folder.file("ca"), serverName: "redis.test" },
  };
  return { servers: [server], shared: "farm", stores: { farm } };
}

async function behindSentinels(): Promise<Between> {
  const master = await RedisServer.start();
  const file = path.join(master.folder, "sentinel.conf");
  writeFileSync(file, `sentinel monitor main 127.0.0.1 ${master.port} 1\n`);
  const sentinel = await RedisServer.start({ args: [file, "--sentinel"] });
  const farm = { url: "redis://unused.invalid", sentinel: { name: "main", nodes: [`127.0.0.1:${sentinel.port}`] } };
  return { servers: [master, sentinel], shared: "farm", stores: { farm } };
}

const WAYS: readonly (readonly [string, (folder: TestFolder) => Promise<Between>])[] = [
  ["a server", plain],
  ["TLS with a CA of its own, a password and a database", overTls],
  ["sentinels", behindSentinels],
];

for (const [what, make] of WAYS) {
  test(
    `by ${what}: what one has fetched the other has too, until it becomes invalid at one of them`,
    TIMEOUT,
    async () => {
      using folder = new TestFolder();
      await using machines = await Machines.start(await make(folder));
      await sharesUntilInvalid(machines);
      for (const { logged } of machines.proxies) {
        const lines = logged.map(({ msg }) => msg).filter((msg) => msg.startsWith("cache "));
        assert.equal(lines.at(-1), "cache artifacts: shared with other machines");
        // Before it, at most that Redis is not reached yet: on a busy machine a connection takes its time.
        assert.ok(lines.length <= 2, lines.join("\n"));
      }
    },
  );
}

async function sharesUntilInvalid(machines: Machines): Promise<void> {
  // Both take part when both find what they have.
  await machines.until(0, "/first", isHit);
  await machines.until(1, "/second", isHit);
  // What one has stored reaches the other a moment later: one of some files is there in time.
  let path = "";
  for (let count = 0, body = "", other = ""; body === "" || body !== other; count++) {
    path = `/file/${count}`;
    body = (await machines.until(0, path, isHit)).body;
    other = (await machines.ask(1, path)).body;
  }
  assert.deepEqual(
    machines.asked.filter((line) => line === `GET ${path}`),
    [`GET ${path}`],
  );
  assert.equal((await machines.ask(1, path, "POST")).status, 200);
  await machines.until(0, path, (answer) => !isHit(answer));
}
