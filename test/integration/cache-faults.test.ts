// Disks that fail while the proxy serves: a full one, a folder that may not be written to, one that is removed, and a process that has
// no descriptors left. Clients get whole answers or see that they did not; the log has one line, `headgate cache stats` says why.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import http from "node:http";
import { describe, test } from "node:test";
import { bodyOf, CACHES, type CacheName, FaultyDisks, get, needsMounts } from "../support/cache-faults.ts";
import { Origin } from "../support/origin.ts";
import { findCommand } from "../support/requirements.ts";
import { needsProc, ProxyProcess } from "../support/soak-process.ts";
import { untilTrue } from "../support/soak-wait.ts";

const TIMEOUT = { timeout: 120_000 };

const REASONS: Readonly<Record<CacheName, RegExp>> = {
  full: /no space left on device/i,
  denied: /EACCES: permission denied/,
  gone: /ENOENT: no such file or directory/,
};

describe("a cache whose disk fails", { skip: needsMounts() }, () => {
  test("costs the cache, and no answer", TIMEOUT, async () => {
    await using disks = await FaultyDisks.start();
    const { origin } = disks;
    for (const name of CACHES) {
      for (const target of [`/${name}/small/before`, `/${name}/large/before`]) await disks.untilHit(target);
    }
    for (const name of CACHES) disks.break(name);
    // What one has begun to fetch, others follow, and on the other worker too.
    const targets = CACHES.flatMap((name) => [1, 2, 3].map((number) => `/${name}/large/${number}`));
    await Promise.all(targets.flatMap((target) => Array.from({ length: 8 }, () => disks.expect(target))));
    for (const name of CACHES) {
      await disks.proxy.until(new RegExp(`cache ${name}: nothing is stored`));
      const asked = origin.asked.length;
      for (const again of [1, 2]) {
        const small = await disks.expect(`/${name}/small/after`);
        assert.match(small, /^headgate; fwd=miss(; fwd-status=200)?(; detail=.*)?$/, `${name} ${again}`);
      }
      assert.equal(origin.asked.length, asked + 2);
      // What was there is there, where it can be read.
      assert.equal(await disks.expect(`/${name}/small/before`), "headgate; hit");
      if (name !== "gone") assert.equal(await disks.expect(`/${name}/large/before`), "headgate; hit");
    }
    const stats = await disks.stats();
    for (const name of CACHES) {
      const [line, ...more] = disks.logOf(name);
      assert.match(line!, /^cache \w+: nothing is stored until that has passed, and proxying goes on: /);
      assert.match(line!, REASONS[name]);
      assert.deepEqual(more, []);
      const [, trouble = ""] = new RegExp(`^${name} in .*\\n {2}stores nothing for now: (.*)$`, "m").exec(stats) ?? [];
      assert.match(trouble, REASONS[name], stats);
    }
    assert.equal(await disks.proxy.stop(), 0, disks.proxy.output);
  });
});

/** Below what any process has open: no further one can be, whatever is closed meanwhile. */
const NONE_LEFT = "--nofile=3:";

describe("a process that has no descriptors left", {
  skip: needsProc || (findCommand("prlimit") === null && "skipped: needs prlimit"),
}, () => {
  test(
    "gives what it has no file for and stores it later; a connection that it cannot make is a 503",
    TIMEOUT,
    async () => {
      await using origin = await Origin.start(({ url = "" }, response) => {
        if (url.includes("last")) response.shouldKeepAlive = false;
        response.writeHead(200, { "Cache-Control": "max-age=3600" }).end(bodyOf(url));
      });
      const top = (folder: string) => ({
        caches: { files: { directory: `${folder}/cache`, minFree: 0 } },
        log: { access: { output: "stdout" } },
      });
      await using proxy = await ProxyProcess.start({ use: [{ cache: "files" }], proxy: origin.url }, 1, top);
      const limit = (...change: string[]): string =>
        execFileSync("prlimit", [`--pid=${proxy.program.pid}`, ...change], { encoding: "utf8" });
      const before = limit("--nofile", "--output=SOFT", "--noheadings").trim();
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
      const ask = (target: string) => get(proxy.port, target, agent);
      // The connections that the rest comes over.
      await ask("/small/first");
      limit(NONE_LEFT);
      for (const target of ["/large/1", "/large/1", "/large/last"]) {
        const { status, body, isWhole, cacheStatus } = await ask(target);
        assert.ok(status === 200 && isWhole && body.equals(bodyOf(target)), target);
        assert.match(cacheStatus, /^headgate; fwd=miss/);
      }
      await proxy.program.until(/cache files: an answer was given and not stored, .*EMFILE/);
      const { status, cacheStatus } = await ask("/large/1");
      assert.deepEqual([status, cacheStatus], [503, "headgate; fwd=miss; detail=failed"]);
      await proxy.program.until(/connection_limit_reached.*the process has reached its limit of open files/);
      limit(`--nofile=${before}:`);
      assert.equal((await ask("/large/2")).status, 200);
      while ((await ask("/large/2")).cacheStatus !== "headgate; hit");
      agent.destroy();
      assert.doesNotMatch(proxy.program.output, /nothing is stored/);
      assert.equal(proxy.program.output.split("an answer was given and not stored").length, 2, "one line in a while");
    },
  );

  test(
    "breaks answers that it cannot give from files, visibly, and loses nothing that is stored",
    TIMEOUT,
    async (context) => {
      await using origin = await Origin.start(({ url = "" }, response) => {
        response.writeHead(200, { "Cache-Control": "max-age=3600" }).end(bodyOf(url));
      });
      const caches = (folder: string) => ({ caches: { files: { directory: `${folder}/cache`, minFree: 0 } } });
      await using proxy = await ProxyProcess.start({ use: [{ cache: "files" }], proxy: origin.url }, 1, caches);
      const targets = Array.from({ length: 40 }, (_, number) => `/large/${number}`);
      for (const target of targets) assert.ok((await get(proxy.port, target)).isWhole);
      for (const target of targets) while ((await get(proxy.port, target)).cacheStatus !== "headgate; hit");
      const asked = origin.asked.length;
      const { descriptors } = proxy;
      // Connections and files for some of the clients, not for all at once.
      execFileSync("prlimit", [`--pid=${proxy.program.pid}`, `--nofile=${descriptors + targets.length + 15}`]);
      const agent = new http.Agent({ keepAlive: true });
      let broken = 0;
      const one = async (target: string): Promise<void> => {
        // Not even a head, or a connection: it broke.
        const got = await get(proxy.port, target, agent).catch(() => null);
        if (got === null || got.status !== 200 || !got.isWhole) broken++;
        if (got === null) return;
        const expected = bodyOf(target);
        if (got.status === 200) assert.ok(got.isWhole ? got.body.equals(expected) : got.body.length < expected.length);
        else assert.ok(got.status >= 500, `${got.status}`);
      };
      await Promise.all(targets.map(one));
      agent.destroy();
      await untilTrue(
        () => proxy.descriptors <= descriptors,
        () => `${proxy.descriptors} descriptors, of ${descriptors} before`,
      );
      for (const target of targets) {
        const { body, cacheStatus } = await get(proxy.port, target);
        assert.equal(cacheStatus, "headgate; hit");
        assert.ok(body.equals(bodyOf(target)));
      }
      assert.equal(origin.asked.length, asked);
      context.diagnostic(`${broken} of ${targets.length} were broken`);
    },
  );
});
