// The maximum of an upstream is one for the process: two workers never make more connections together, whoever has to wait
// gets the place that becomes free on either of them, and a worker that dies leaves none taken.

import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { describe, test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { get, MANY, program } from "./workers.ts";

class SlowOrigin {
  readonly waiting: ServerResponse[] = [];
  #changed = Promise.withResolvers<void>();
  origin!: Origin;

  static async start(): Promise<SlowOrigin> {
    const slow = new SlowOrigin();
    slow.origin = await Origin.start((_request, response) => {
      slow.waiting.push(response);
      slow.#changed.resolve();
      slow.#changed = Promise.withResolvers<void>();
    });
    return slow;
  }

  /** The next request that came. */
  async next(): Promise<ServerResponse> {
    while (this.waiting.length === 0) await this.#changed.promise;
    return this.waiting.shift()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.origin[Symbol.asyncDispose]();
  }
}

/** Proxies /app with at most `max` connections; the rest answers with the thread's number. */
function limited(origin: Origin, max: number, timeout = "60s"): string {
  const proxy = `{ to: "${origin.url}", maxConnections: ${max}, queue: { timeout: "${timeout}" } }`;
  return program("").replace("handle } }", `routes: [{ match: { path: "/app" }, proxy: ${proxy} }, { handle }] } }`);
}

async function clientOfEach(port: number): Promise<readonly [RawClient, RawClient]> {
  const byThread = new Map<string, RawClient>();
  while (byThread.size < 2) {
    const client = await RawClient.connect(port);
    const { body } = await client.send(get()).answer();
    if (byThread.has(body)) client[Symbol.dispose]();
    else byThread.set(body, client);
  }
  const [one, other] = [...byThread.values()];
  return [one!, other!];
}

describe("a maximum of one connection with two workers", () => {
  test("holds, and all requests are answered, one after the other", async () => {
    await using slow = await SlowOrigin.start();
    using folder = new Folder();
    folder.file("headgate.ts", limited(slow.origin, 1));
    await using running = await Running.start(folder.path, "run");
    const clients = await Promise.all(Array.from({ length: MANY }, () => RawClient.connect(running.port("web"))));
    const answers = clients.map((client) => client.send(get("/app")).answer());
    for (let i = 0; i < MANY; i++) {
      const response = await slow.next();
      // The origin hears of the end of one connection after it has heard of the next: both are under way.
      await slow.origin.until(() => slow.origin.sockets.size <= 1);
      assert.equal(slow.waiting.length, 0, "no other request is under way");
      response.end("done");
    }
    for (const answer of answers) assert.equal((await answer).body, "done");
    for (const client of clients) client[Symbol.dispose]();
  });

  test("gives up a connection that rests in one worker for a request of the other", async () => {
    await using slow = await SlowOrigin.start();
    using folder = new Folder();
    folder.file("headgate.ts", limited(slow.origin, 1));
    await using running = await Running.start(folder.path, "run");
    // By turns: the connection is at rest in the other one each time.
    const clients = await clientOfEach(running.port("web"));
    for (let turn = 0; turn < 4; turn++) {
      for (const client of clients) {
        const answer = client.send(get("/app")).answer();
        (await slow.next()).end("done");
        assert.equal((await answer).body, "done");
      }
    }
    assert.equal(slow.origin.accepted, 8, "each time a new one");
    for (const client of clients) client[Symbol.dispose]();
  });

  test("gives up one that rests for a client of one worker alone, too", async () => {
    await using slow = await SlowOrigin.start();
    // It waits for less time than the connection rests.
    using folder = new Folder();
    folder.file("headgate.ts", limited(slow.origin, 1, "20s"));
    await using running = await Running.start(folder.path, "run");
    const [one, other] = await clientOfEach(running.port("web"));
    const asked = one.send(get("/app")).answer();
    (await slow.next()).writeHead(401, { "WWW-Authenticate": "NTLM" }).end();
    assert.equal((await asked).status, 401);
    void slow.next().then((response) => response.end("done"));
    assert.equal((await other.send(get("/app")).answer()).body, "done");
    for (const client of [one, other]) client[Symbol.dispose]();
  });

  test("is free again when the worker that held it dies", async () => {
    await using slow = await SlowOrigin.start();
    using folder = new Folder();
    folder.file("headgate.ts", limited(slow.origin, 1));
    await using running = await Running.start(folder.path, "run");
    const port = running.port("web");
    using holder = await RawClient.connect(port);
    const { body: thread } = await holder.send(get()).answer();
    let other = await RawClient.connect(port);
    while ((await other.send(get()).answer()).body === thread) {
      other[Symbol.dispose]();
      other = await RawClient.connect(port);
    }
    let killer = await RawClient.connect(port);
    while ((await killer.send(get()).answer()).body !== thread) {
      killer[Symbol.dispose]();
      killer = await RawClient.connect(port);
    }
    holder.send(get("/app"));
    await slow.next();
    const answer = other.send(get("/app")).answer();
    killer.send(get("/crash"));
    (await slow.next()).end("done");
    assert.equal((await answer).body, "done");
    other[Symbol.dispose]();
    killer[Symbol.dispose]();
  });
});
