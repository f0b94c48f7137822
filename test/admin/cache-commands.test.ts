// headgate cache and the operations behind it: what is asked of the caches, what is refused, and what a person gets to see.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { AdminStage, CACHE, STATUS } from "./admin-stage.ts";
import { run } from "./command-run.ts";

let stage: AdminStage;

beforeEach(async () => {
  stage = await AdminStage.start();
});
afterEach(() => stage[Symbol.dispose]());

const there = (...args: readonly string[]) => run(stage.folder, "cache", ...args, "--admin", stage.admin.address);

describe("headgate cache stats", () => {
  test("shows what was served how, what that saved, and what is gone", async () => {
    const { status, stdout, stderr } = await there("stats");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.equal(
      stdout,
      `artifacts in /var/cache/headgate/artifacts
  holds 3 entries, 5.0 MiB of 50.0 GiB
  hit ratio 80.0% of requests, 80.0% of bytes: 7.8 KiB saved
  hit          6  5.9 KiB  from the cache, fresh
  stale        0      0 B  from the cache, stale: the origin failed, or is asked meanwhile
  revalidated  1    500 B  from the cache, confirmed by the origin
  shared       1  1.5 KiB  from a download that another request had begun, or from another machine
  miss         1  1.5 KiB  downloaded
  pass         1    500 B  downloaded past the cache
  gone: 2 size, 1 purged
`,
    );
  });

  test("says when nothing is stored, and when there is no cache", async () => {
    stage.control.caches.status = [{ ...CACHE, hitRatio: null, trouble: "no space is left" }];
    const { stdout } = await there("stats");
    assert.match(stdout, /^ {2}stores nothing for now: no space is left$/m);
    assert.match(stdout, /hit ratio - of requests/);
    stage.control.caches.status = [];
    assert.equal((await there("stats")).stdout, "the configuration has no cache\n");
  });

  test("says what this machine has of others that share it, or since when and why it has nothing", async () => {
    const shared = {
      cutOff: null,
      since: "2026-11-21T10:00:00.000Z",
      taken: { answers: 2, bytes: 2048 },
      given: { answers: 1, bytes: 1024 },
      errors: 0,
      lastError: null,
      late: 3,
      behind: 0,
      owed: 0,
    };
    stage.control.caches.status = [{ ...CACHE, shared }];
    assert.ok(
      (await there("stats")).stdout.endsWith(`  gone: 2 size, 1 purged
  shared with other machines since 2026-11-21T10:00:00.000Z
    2 answers (2.0 KiB) from them, 1 answer (1.0 KiB) for them; 0 errors, 3 look-ups given up
`),
    );
    const lastError = "Redis says OOM: it is out of memory";
    const cutOff = { ...shared, cutOff: "Redis is silent", errors: 4, lastError, behind: 1, owed: 2 };
    stage.control.caches.status = [{ ...CACHE, shared: cutOff }];
    const { stdout } = await there("stats");
    assert.match(stdout, /^ {2}cut off from other machines since \S+, and finds nothing: Redis is silent$/m);
    assert.match(stdout, /^ {4}the last error: Redis says OOM: it is out of memory$/m);
    assert.match(stdout, /^ {4}1 purge of theirs to be applied here$/m);
    assert.match(stdout, /^ {4}2 purges they could not be told of yet$/m);
    stage.control.statusNow = { ...STATUS, caches: stage.control.caches.status };
    const status = await run(stage.folder, "status", "--admin", stage.admin.address);
    assert.match(
      status.stdout,
      /^cache artifacts is cut off from other machines, and finds nothing: Redis is silent$/m,
    );
  });

  test("--json gives all of it", async () => {
    const { stdout } = await there("stats", "--json");
    assert.deepEqual(JSON.parse(stdout), { caches: [CACHE] });
  });

  test("stands in the status in short", async () => {
    stage.control.statusNow = { ...STATUS, caches: [{ ...CACHE, trouble: "no space is left" }] };
    const { stdout } = await run(stage.folder, "status", "--admin", stage.admin.address);
    assert.match(stdout, /^cache {6}entries {5}size {8}of {2}hit ratio {4}saved$/m);
    assert.match(stdout, /^artifacts {8}3 {2}5\.0 MiB {2}50\.0 GiB {6}80\.0% {2}7\.8 KiB$/m);
    assert.match(stdout, /^cache artifacts stores nothing for now: no space is left$/m);
  });
});

describe("headgate cache list", () => {
  test("shows entries, and gives a terminal no controls", async () => {
    const { status, stdout } = await there("list", "--search", "mirror", "--sort", "age", "--limit", "2");
    assert.equal(status, 0);
    assert.equal(
      stdout,
      `artifacts: 7 entries
   size         age  fresh for  uses  status  url
2.0 KiB  1 min 30 s  1 h 0 min     2     200  https://mirror.example.org/pool/a.deb
    1 B  1 min 30 s      stale     2     200  https://mirror.example.org/\ufffd]0;x (accept-encoding: gzip,br, no origin)
and 5 more, which --limit shows
`,
    );
    assert.deepEqual(stage.control.caches.calls, [["list", null, { search: "mirror", order: "age", limit: 2 }]]);
  });

  test("refuses what it cannot sort by, and a cache that is not there", async () => {
    assert.equal((await there("list", "--sort", "colour")).status, 2);
    const { status, stderr } = await there("list", "--limit", "0");
    assert.deepEqual([status, stderr], [2, "limit is a number from 1 to 10000\n"]);
    assert.equal((await there("list", "--cache", "other")).stderr, "no cache has the name other\n");
  });
});

describe("headgate cache purge", () => {
  test("purges one thing, and says how many entries that were", async () => {
    assert.equal((await there("purge", "https://a.example/x")).stdout, "artifacts: purged 2 entries\n");
    const soft = await there("purge", "--tag", "release-12", "--soft", "--cache", "artifacts");
    assert.equal(soft.stdout, "artifacts: turned 2 entries stale\n");
    assert.deepEqual(stage.control.caches.calls, [
      ["purge", null, { kind: "url", text: "https://a.example/x" }, false],
      ["purge", "artifacts", { kind: "tag", text: "release-12" }, true],
    ]);
  });

  test("needs exactly one, that can be something", async () => {
    for (const args of [[], ["https://a.example/x", "--host", "a.example"]]) {
      const { status, stderr } = await there("purge", ...args);
      assert.equal(status, 2);
      assert.match(stderr, /needs one of a URL, --prefix, --host, --wildcard and --tag/);
    }
    const { status, stderr } = await there("purge", "--host", "nonsense");
    assert.deepEqual([status, stderr], [2, "nonsense is nothing\n"]);
  });

  test("tells programs what it promises", async () => {
    const { status, json } = await stage.post("/cache/purge", '{"prefix":"https://a.example/"}');
    assert.equal(status, 200);
    assert.deepEqual(json, {
      entries: 2,
      caches: [{ name: "artifacts", entries: 2 }],
      promise: "no request that begins from now on gets what was purged, on any worker",
    });
  });

  test("refuses a body that says something else", async () => {
    const refused = [
      ["{}", 400, "needs one of url, prefix, host, wildcard, tag"],
      ['{"url":"https://a.example/","host":"a.example"}', 400, "needs one of url, prefix, host, wildcard, tag"],
      [
        '{"uri":"https://a.example/"}',
        400,
        'unknown field "uri"; there is cache, soft, url, prefix, host, wildcard, tag',
      ],
      ['{"url":7}', 400, "url must be text"],
      ['{"url":"https://a.example/","soft":"yes"}', 400, "soft is true or false"],
      ['{"url":"https://a.example/","cache":7}', 400, "cache is the name of a cache"],
      ["[]", 400, "the body must be a JSON object"],
      ['{"url":"https://a.example/","cache":"other"}', 404, "no cache has the name other"],
    ] as const;
    for (const [body, status, error] of refused) {
      const answer = await stage.post("/cache/purge", body);
      assert.deepEqual([answer.status, answer.json], [status, { error }], body);
    }
  });
});

describe("headgate cache verify", () => {
  test("says that all is well, or what was damaged, and fails then", async () => {
    const good = await there("verify");
    assert.deepEqual([good.status, good.stdout], [0, "artifacts: 3 of 3 entries are as they were stored (4.0 KiB)\n"]);
    stage.control.caches.damaged = ["https://a.example/x"];
    const damaged = await there("verify", "--cache", "artifacts");
    assert.equal(damaged.status, 1);
    assert.equal(
      damaged.stdout,
      "artifacts: 3 of 4 entries are as they were stored (4.0 KiB); 1 was damaged and is gone:\n  https://a.example/x\n",
    );
  });
});

describe("headgate cache warm", () => {
  test("refuses what is no list of URLs", async () => {
    const file = path.join(stage.folder, "urls.txt");
    const warm = (text: string) => {
      writeFileSync(file, text);
      return there("warm", file);
    };
    assert.equal((await warm("# nothing\n\n")).stderr, `${file}: no URL is in it\n`);
    assert.match((await warm("http://a.example/\n/x\n")).stderr, /urls\.txt:2: expected a URL such as /);
    assert.match(
      (await there("warm", path.join(stage.folder, "none"))).stderr,
      /^cannot read .*none: there is no such file\n$/,
    );
    const { status, stderr } = await there("warm", file, "--parallel", "0");
    assert.equal(status, 2);
    assert.match(stderr, /expected a number from 1 to 256/);
  });

  test("refuses to guess which server is meant", async () => {
    const file = path.join(stage.folder, "urls.txt");
    writeFileSync(file, "http://a.example/\n");
    const listeners = [
      { server: "one", url: "http://127.0.0.1:1", isForward: false },
      { server: "other", url: "http://127.0.0.1:2", isForward: false },
    ];
    stage.control.statusNow = { ...STATUS, listeners };
    const { status, stderr } = await there("warm", file);
    assert.deepEqual(
      [status, stderr],
      [2, "error: more than one server could be meant: name one with --server (one, other)\n"],
    );
    assert.match(
      (await there("warm", file, "--server", "x")).stderr,
      /no server has the name "x"; there is one, other/,
    );
  });
});
