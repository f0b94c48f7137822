// The shared cache of a process with two workers: one download for all clients of both, purges that hold everywhere when the command
// returns, and what is stored outlives the death of a worker, reloads and the process.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type http from "node:http";
import { describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Folder, headgate, Running } from "../cli/headgate.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { until } from "../support/redis.ts";
import { Clients, get, statusOf } from "./workers.ts";

const TIMEOUT = { timeout: 60_000 };

interface Options {
  readonly caches?: string;
  readonly use?: string;
}

/** A route that is cached, and beside it what says which thread serves, and ends it. */
function program(
  origin: string,
  { caches = "{ pages: { directory: 'cache', minFree: 0 } }", use = "true" }: Options = {},
) {
  return `
import { threadId } from "node:worker_threads";
function handle(exchange) {
  if (exchange.request.path === "/exit") setImmediate(() => process.exit(3));
  return exchange.respond({ status: 200, fields: [], body: Buffer.from("thread " + threadId) });
}
export default {
  workers: 2,
  log: { access: "off" },
  caches: ${caches},
  servers: { web: { listen: "127.0.0.1:0", routes: [
    { match: { path: "/files/*" }, use: [{ cache: ${use} }], proxy: "${origin}" },
    { handle },
  ] } },
};
`;
}

function digestOf(body: string): string {
  return createHash("sha256").update(body, "latin1").digest("hex");
}

/** A connection to each of the two workers. */
async function oneOfEach(running: Running): Promise<{ clients: Clients; threads: readonly RawClient[] }> {
  const clients = await Clients.connect(running.port("web"));
  const threads = clients.bodies.map((body) => clients.of(body)[0]!);
  assert.equal(threads.length, 2);
  return { clients, threads };
}

/** An origin whose files are what `files` says, fresh for an hour. */
function filesOf(files: ReadonlyMap<string, Buffer>): http.RequestListener {
  return (request, response) => {
    const body = files.get(request.url ?? "");
    response.setHeader("Cache-Control", "max-age=3600");
    response.statusCode = body === undefined ? 404 : 200;
    response.end(body);
  };
}

function run(folder: Folder, ...args: readonly string[]): string {
  const { status, stdout, stderr } = headgate(folder.path, "cache", ...args);
  assert.equal(status, 0, stderr);
  return stdout;
}

describe("a cache of two workers", () => {
  test("a hundred clients ask for one cold file: one request, and all get it whole", TIMEOUT, async () => {
    const file = randomBytes(2_000_000);
    const wanted = createHash("sha256").update(file).digest("hex");
    await using origin = await Origin.start(async (_request, response) => {
      response.writeHead(200, { "cache-control": "max-age=3600", "content-length": file.length });
      response.write(file.subarray(0, 1000));
      // Not before all of them wait for it.
      await everybody.promise;
      response.end(file.subarray(1000));
    });
    const everybody = Promise.withResolvers<void>();
    using folder = new Folder();
    folder.file("headgate.ts", program(origin.url));
    await using running = await Running.start(folder.path, "run");
    const clients = await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(running.port("web"))));
    const answers = clients.map((client) => client.send(get("/files/cold")).answer());
    // Heads come as soon as there is one: all hundred are served from a download that is under way.
    await Promise.all(clients.map((client) => client.until(() => client.received.includes("\r\n\r\n"), "a head")));
    everybody.resolve();
    for (const answer of await Promise.all(answers)) {
      assert.equal(answer.status, 200);
      assert.equal(digestOf(answer.body), wanted);
    }
    assert.deepEqual(
      origin.asked.map(({ url }) => url),
      ["/files/cold"],
    );
    for (const client of clients) client[Symbol.dispose]();
    const servedBy = async () => {
      const [cache] = (await statusOf(running)).caches;
      const { miss, shared, hit } = cache!.served;
      const others = shared.requests + hit.requests;
      return { miss: miss.requests, others, all: miss.requests + others, hitRatio: cache!.hitRatio! };
    };
    // A thread may have counted an answer a moment after its last byte.
    await until(async () => (await servedBy()).all >= clients.length);
    const { miss, others, hitRatio } = await servedBy();
    assert.deepEqual([miss, others], [1, 99]);
    assert.ok(hitRatio > 0.98);
  });

  test("a purge holds on both workers when the command returns, and counts what it met", TIMEOUT, async () => {
    const files = new Map([
      ["/files/a", Buffer.from("a1")],
      ["/files/b", Buffer.alloc(200_000, "b")],
      ["/files/c?x=1", Buffer.from("c1")],
    ]);
    await using origin = await Origin.start(filesOf(files));
    using folder = new Folder();
    folder.file("headgate.ts", program(origin.url));
    await using running = await Running.start(folder.path, "run");
    const { clients, threads } = await oneOfEach(running);
    using _clients = clients;
    const bodies = async (path: string): Promise<readonly string[]> => {
      const answers: string[] = [];
      for (const client of threads) answers.push((await client.send(get(path)).answer()).body.slice(0, 2));
      return answers;
    };
    // Twice: the second time both have it in their memory.
    for (const _ of [1, 2]) for (const path of files.keys()) await bodies(path);
    const before = origin.asked.length;
    assert.equal(before, 3);
    for (const path of [...files.keys()]) files.set(path, Buffer.from(`${path.slice(7, 8)}2`));
    assert.deepEqual(await bodies("/files/a"), ["a1", "a1"]);
    const host = "http://a";
    assert.equal(run(folder, "purge", `${host}/files/a`), "pages: purged 1 entry\n");
    assert.deepEqual(await bodies("/files/a"), ["a2", "a2"]);
    assert.deepEqual(await bodies("/files/c?x=1"), ["c1", "c1"]);
    assert.equal(run(folder, "purge", "--prefix", `${host}/files/`), "pages: purged 3 entries\n");
    assert.deepEqual(await bodies("/files/b"), ["b2", "b2"]);
    assert.deepEqual(await bodies("/files/c?x=1"), ["c2", "c2"]);
    assert.match(
      run(folder, "list", "--search", "/files/b"),
      /^pages: 1 entry\n.*\n *512 B .* 200 {2}http:\/\/a\/files\/b\n$/,
    );
    assert.equal(run(folder, "purge", "--host", "elsewhere.example"), "pages: purged 0 entries\n");
    assert.match(run(folder, "verify"), /^pages: (\d) of \1 entries are as they were stored/);
  });

  test(
    "the death of a worker that downloads cuts its clients alone; others fetch it anew, and what is stored stays",
    TIMEOUT,
    async () => {
      let downloads = 0;
      const begun = Promise.withResolvers<void>();
      await using origin = await Origin.start((request, response) => {
        response.setHeader("Cache-Control", "max-age=3600");
        if (request.url === "/files/kept") return void response.end("kept");
        if (++downloads > 1) return void response.end("second");
        response.writeHead(200, { "content-length": 10_000_000 });
        response.write(Buffer.alloc(300_000));
        begun.resolve();
      });
      using folder = new Folder();
      folder.file("headgate.ts", program(origin.url));
      await using running = await Running.start(folder.path, "run");
      const { clients, threads } = await oneOfEach(running);
      using _clients = clients;
      const [first, second] = threads as [RawClient, RawClient];
      await second.send(get("/files/kept")).answer();
      const hasHead = (client: RawClient) => () => /content-length: 10000000/i.test(client.received);
      first.send(get("/files/long"));
      await begun.promise;
      await first.until(hasHead(first), "a head");
      // It follows the download of the other thread, and is cut with it: a short answer that looks whole would be wrong.
      second.send(get("/files/long"));
      await second.until(hasHead(second), "the same head");
      const other = clients.of(clients.bodies[0]!).at(-1)!;
      other.send(get("/exit"));
      await running.untilLogged(/^worker \d died/);
      await first.untilEnded();
      await second.untilEnded();
      await running.untilLogged(/^worker \d serves again$/);
      const { clients: later, threads: both } = await oneOfEach(running);
      using _later = later;
      for (const client of both) {
        assert.equal((await client.send(get("/files/kept")).answer()).body, "kept");
        assert.equal((await client.send(get("/files/long")).answer()).body, "second");
      }
      assert.equal(origin.asked.filter(({ url }) => url === "/files/kept").length, 1);
      assert.equal(downloads, 2);
    },
  );

  test(
    "a reload keeps the cache and what it has counted, takes other limits, and closes one that goes",
    TIMEOUT,
    async () => {
      const files = new Map(
        Array.from({ length: 20 }, (_, index) => [`/files/${index}`, randomBytes(100_000)] as const),
      );
      await using origin = await Origin.start(filesOf(files));
      using folder = new Folder();
      const write = (options: Options): void => void folder.file("headgate.ts", program(origin.url, options));
      write({});
      await using running = await Running.start(folder.path, "run");
      using client = await RawClient.connect(running.port("web"));
      for (const path of files.keys()) await client.send(get(path)).answer();
      const entriesOf = async (): Promise<readonly (string | number)[]> =>
        (await statusOf(running)).caches.flatMap(({ name, entries, served }) => [name, entries, served.miss.requests]);
      const untilItHas = (...wanted: readonly (string | number)[]) =>
        until(async () => isDeepStrictEqual(await entriesOf(), wanted));
      // An answer has been given when it is stored, or a moment before.
      await untilItHas("pages", 20, 20);

      write({ caches: "{ pages: { directory: 'cache', minFree: 0, size: '1MiB' } }" });
      running.signal("SIGHUP");
      await running.untilLogged(/loaded again: .*caches changed: pages/);
      // What was too much is gone, and the rest is there.
      const { entries, removed, bytesMax } = (await statusOf(running)).caches[0]!;
      assert.equal(bytesMax, 2 ** 20);
      assert.ok(entries < 11 && entries > 5, `${entries} entries`);
      assert.equal(removed.size, 20 - entries);

      write({ caches: "{ other: { directory: 'other', minFree: 0 } }" });
      running.signal("SIGHUP");
      await running.untilLogged(/caches opened: other; caches closed: pages/);
      using next = await RawClient.connect(running.port("web"));
      await next.send(get("/files/0")).answer();
      await untilItHas("other", 1, 1);

      write({});
      running.signal("SIGHUP");
      await running.untilLogged(/caches opened: pages; caches closed: other/);
      assert.equal((await statusOf(running)).caches[0]!.entries, entries);
    },
  );

  test("what is stored is there after a restart, whether the process ended well or was killed", TIMEOUT, async () => {
    const files = new Map([
      ["/files/small", Buffer.from("small")],
      ["/files/large", randomBytes(500_000)],
    ]);
    await using origin = await Origin.start(filesOf(files));
    using folder = new Folder();
    folder.file("headgate.ts", program(origin.url));
    for (const end of ["SIGTERM", "SIGKILL", "SIGTERM"] as const) {
      await using running = await Running.start(folder.path, "run");
      using client = await RawClient.connect(running.port("web"));
      for (const [path, body] of files) {
        const answer = await client.send(get(path)).answer();
        assert.equal(digestOf(answer.body), createHash("sha256").update(body).digest("hex"));
      }
      running.signal(end);
      await running.ended();
    }
    assert.equal(origin.asked.length, 2);
  });

  test("a folder that is another process's, or is no cache's, is an error of the configuration", TIMEOUT, async () => {
    using folder = new Folder();
    folder.file("headgate.ts", program("http://127.0.0.1:1"));
    await using _running = await Running.start(folder.path, "run");
    using other = new Folder();
    other.file(
      "headgate.ts",
      program("http://127.0.0.1:1", { caches: `{ pages: { directory: ${JSON.stringify(folder.file("cache"))} } }` }),
    );
    const taken = headgate(other.path, "run");
    assert.equal(taken.status, 1);
    assert.match(taken.stderr, /^headgate\.ts: caches\.pages\.directory: cannot open the cache pages in .*\/cache: /m);
    other.file("precious.txt", "do not touch");
    other.file(
      "headgate.ts",
      program("http://127.0.0.1:1", { caches: `{ pages: { directory: ${JSON.stringify(other.path)} } }` }),
    );
    const foreign = headgate(other.path, "run");
    assert.equal(foreign.status, 1);
    assert.match(foreign.stderr, /has files in it that are not a cache's/);
  });
});
