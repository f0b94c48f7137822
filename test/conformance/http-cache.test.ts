// The public suite for HTTP caches, against a proxy with a cache: what it finds is exactly what http-cache-expectations.ts says. All
// tests run at once, since they wait for seconds in which answers turn stale.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runCacheSuite, type SuiteResult, scoreOf } from "../support/cache-suite.ts";
import { TestFolder } from "../support/folder.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { loadPublicSuite } from "../support/public-cache-suite.ts";
import {
  CHECKED_NOT_SO,
  EITHER_WAY,
  OPTIMAL_NOT_PASSED,
  REQUIRED_NOT_PASSED,
  SUITE_CACHE,
} from "./http-cache-expectations.ts";

/** So many tests that a slow machine is not late by the second that one of them counts with. */
const AT_ONCE = 200;

describe("the public suite for HTTP caches", () => {
  test("finds what is expected, and nothing else", { timeout: 120_000 }, async (context) => {
    using folder = new TestFolder();
    const suite = await loadPublicSuite();
    let proxy: ProxyUnderTest | null = null;
    const open = async (origin: string): Promise<string> => {
      proxy = await ProxyUnderTest.start({
        caches: { suite: { directory: folder.file("cache"), minFree: 0 } },
        servers: {
          web: { listen: "127.0.0.1:0", use: [{ cache: { store: "suite", ...SUITE_CACHE } }], proxy: origin },
        },
      });
      return `http://127.0.0.1:${proxy.port("web")}`;
    };
    const results = await runCacheSuite(suite, open, AT_ONCE).finally(() => proxy?.[Symbol.asyncDispose]());
    context.diagnostic(scoreOf(results));
    const logged = (proxy as ProxyUnderTest | null)?.logged ?? [];
    assert.deepEqual(
      logged.filter(({ level }) => level === "error"),
      [],
    );
    assert.equal(results.length, 329, "as many as the suite has for shared caches");
    const expected = [...Object.keys(REQUIRED_NOT_PASSED), ...Object.keys(OPTIMAL_NOT_PASSED), ...CHECKED_NOT_SO];
    const found = results.filter(({ id, verdict }) => verdict !== "pass" && !EITHER_WAY.includes(id));
    const unexpected = found.filter(({ id }) => !expected.includes(id)).map(describeResult);
    const passedAfterAll = expected.filter((id) => !found.some((result) => result.id === id));
    assert.deepEqual({ unexpected, passedAfterAll }, { unexpected: [], passedAfterAll: [] });
  });
});

function describeResult({ kind, suite, id, verdict, message }: SuiteResult): string {
  return `${kind} ${suite}/${id}: ${verdict} ${message}`;
}
