// Two proxies, as on two machines, whose caches are shared by Redis: what one has, the other does not fetch; what becomes invalid at
// one, is so at the other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { type RawAnswer, RawClient } from "../support/raw-client.ts";
import { RedisServer } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 60_000, skip: needs("redis-server") };

class Machines implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly origin: Origin;
  /** What the origin was asked for. */
  readonly asked: string[];
  readonly proxies: ProxyUnderTest[] = [];
  readonly #folders: TestFolder[] = [];

  private constructor(redis: RedisServer, origin: Origin, asked: string[]) {
    this.redis = redis;
    this.origin = origin;
    this.asked = asked;
  }

  static async start(): Promise<Machines> {
    const asked: string[] = [];
    const origin = await Origin.start((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      if (request.method === "GET") response.setHeader("Cache-Control", "max-age=3600");
      response.end(`answer ${asked.length}`);
    });
    const machines = new Machines(await RedisServer.start(), origin, asked);
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
    const cache = { directory: folder.file("cache"), minFree: 0, shared: this.redis.url };
    const web = { listen: "127.0.0.1:0", use: [{ cache: "artifacts" }], proxy: this.origin.url };
    this.proxies.push(await ProxyUnderTest.start({ caches: { artifacts: cache }, servers: { web } }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    await this.origin[Symbol.asyncDispose]();
    await this.redis[Symbol.asyncDispose]();
    for (const folder of this.#folders) folder[Symbol.dispose]();
  }
}

function isHit({ fields }: RawAnswer): boolean {
  return /; hit/.test(fields.get("cache-status") ?? "");
}

test("what one has fetched the other has too, until it becomes invalid at one of them", TIMEOUT, async () => {
  await using machines = await Machines.start();
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
});
