// Servers that the main thread asks how they are, and workers that go by it; real servers that a test makes ill and well.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerStatus } from "../../src/server/control.ts";
import { Folder, Running } from "../cli/headgate.ts";
import { Origin } from "../support/origin.ts";
import { until } from "../support/redis.ts";
import { Clients, statusOf } from "./workers.ts";

const HEALTH = { path: "/healthz", interval: "50ms", fails: 2, passes: 2 };

/** Answers requests with its name, and checks with a status that can be changed. */
class CheckedOrigin {
  status = 200;
  checks = 0;
  #origin: Origin | null = null;

  static async start(name: string): Promise<CheckedOrigin> {
    const checked = new CheckedOrigin();
    checked.#origin = await Origin.start((request, response) => {
      const isCheck = request.url === "/healthz";
      if (isCheck) checked.checks++;
      response.statusCode = isCheck ? checked.status : 200;
      response.end(name);
    });
    return checked;
  }

  get url(): string {
    return this.#origin!.url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#origin?.[Symbol.asyncDispose]();
  }
}

function configOf(origins: readonly CheckedOrigin[], health: object | null = HEALTH): string {
  const servers = origins.map(({ url }) => url);
  return JSON.stringify({
    workers: 2,
    log: { access: "off" },
    upstreams: { app: { servers, ...(health !== null && { health }) } },
    servers: { web: { listen: "127.0.0.1:0", proxy: "app" } },
  });
}

async function serversOf(running: Running): Promise<readonly ServerStatus[]> {
  return (await statusOf(running)).upstreams[0]!.servers;
}

test("a server that fails its checks gets no requests of any worker until it passes them", async () => {
  using folder = new Folder();
  await using one = await CheckedOrigin.start("one");
  await using other = await CheckedOrigin.start("other");
  const file = folder.file("headgate.json", configOf([one, other]));
  await using running = await Running.start(folder.path, "run", "--config", file);
  using clients = await Clients.connect(running.port("web"));
  assert.deepEqual(clients.bodies, ["one", "other"]);

  other.status = 503;
  await running.untilLogged(
    / fails its health checks: GET \/healthz: status 503; it is left out until it passes, while another one is there$/,
  );
  assert.deepEqual(await clients.bodiesNow(), ["one"]);
  const [ofOne, ofOther] = await serversOf(running);
  assert.deepEqual([ofOne?.state, ofOne?.since, ofOne?.reason], ["up", null, null]);
  assert.deepEqual([ofOther?.state, ofOther?.reason], ["failing", "GET /healthz: status 503"]);
  assert.ok(Math.abs(Date.now() - Date.parse(ofOther!.since!)) < 60_000);

  other.status = 200;
  await running.untilLogged(/ passes its health checks again$/);
  assert.deepEqual(await clients.bodiesNow(), ["one", "other"]);
  assert.equal((await serversOf(running))[1]!.state, "up");
});

test("when all fail, all are used", async () => {
  using folder = new Folder();
  await using one = await CheckedOrigin.start("one");
  await using other = await CheckedOrigin.start("other");
  one.status = other.status = 500;
  const file = folder.file("headgate.json", configOf([one, other]));
  await using running = await Running.start(folder.path, "run", "--config", file);
  await until(async () => (await serversOf(running)).every(({ state }) => state === "failing"));
  using clients = await Clients.connect(running.port("web"));
  assert.deepEqual(clients.bodies, ["one", "other"]);
});

test("a reload keeps what is known of a server, and forgets it where nobody asks any more", async () => {
  using folder = new Folder();
  await using one = await CheckedOrigin.start("one");
  await using other = await CheckedOrigin.start("other");
  other.status = 503;
  const file = folder.file("headgate.json", configOf([one, other]));
  await using running = await Running.start(folder.path, "run", "--config", file);
  await until(async () => (await serversOf(running))[1]!.state === "failing");
  const { since } = (await serversOf(running))[1]!;

  // Another list of servers, whose memory is another one; and nothing of the checks is different.
  await using third = await CheckedOrigin.start("third");
  folder.file("headgate.json", configOf([one, third, other]));
  running.process.kill("SIGHUP");
  await running.untilLogged(/loaded again/);
  const servers = await serversOf(running);
  assert.deepEqual([servers[2]?.state, servers[2]?.since], ["failing", since]);
  using clients = await Clients.connect(running.port("web"));
  assert.deepEqual(clients.bodies, ["one", "third"]);

  folder.file("headgate.json", configOf([one, third, other], null));
  running.process.kill("SIGHUP");
  await running.untilLogged(/loaded again/);
  assert.deepEqual(await clients.bodiesNow(), ["one", "other", "third"]);
  const { checks } = other;
  await until(async () => (await serversOf(running))[2]!.requests > 0);
  assert.equal((await serversOf(running))[2]!.state, "up");
  assert.equal(other.checks, checks);
});

test("a server that several upstreams have is asked once", async () => {
  using folder = new Folder();
  await using one = await CheckedOrigin.start("one");
  const upstreams = { app: { servers: [one.url], health: { ...HEALTH, interval: "1h" } } };
  const routes = [
    { match: { path: "/long/*" }, proxy: { to: "app", timeouts: { idle: "5m" } } },
    { match: { path: "/short/*" }, proxy: { to: "app", timeouts: { idle: "5s" } } },
    { proxy: "app" },
  ];
  const config = { workers: 2, upstreams, servers: { web: { listen: "127.0.0.1:0", routes } } };
  const file = folder.file("headgate.json", JSON.stringify(config));
  one.status = 503;
  await using running = await Running.start(folder.path, "run", "--config", file);
  await until(async () => {
    const states = (await statusOf(running)).upstreams.flatMap(({ servers }) => servers.map(({ state }) => state));
    assert.equal(states.length, 3);
    return states.every((state) => state === "failing");
  });
  assert.equal(one.checks, 1);
});
