// The public suite for HTTP caches, against a proxy with a cache: what it finds is exactly what http-cache-expectations.ts says. All
// tests run at once, since they wait for seconds in which answers turn stale. The edition of the package runs always; the one of
// the suite's repository when HTTP_CACHE_SUITE names a checkout of it (CONTRIBUTING.md), since no package has it.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type CacheSuite, runCacheSuite, type SuiteResult, scoreOf } from "../support/cache-suite.ts";
import { TestFolder } from "../support/folder.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { loadPublicSuite, loadSuiteFrom } from "../support/public-cache-suite.ts";
import { type Expectations, OF_THE_PACKAGE, OF_THE_REPOSITORY, SUITE_CACHE } from "./http-cache-expectations.ts";

/** So many tests that a slow machine is not late by the second that one of them counts with. */
const AT_ONCE = 200;

/** Variables of the environment that are set to nothing are not set. */
const checkout = process.env.HTTP_CACHE_SUITE || null;

describe("the public suite for HTTP caches finds what is expected, and nothing else", () => {
  test("in the edition of the package", { timeout: 120_000 }, async (context) => {
    const results = await runBehindProxy(await loadPublicSuite());
    context.diagnostic(scoreOf(results));
    assertAsExpected(results, OF_THE_PACKAGE);
  });

  const skip = checkout === null && "skipped: needs a checkout of the suite's repository, named by HTTP_CACHE_SUITE";
  test("in the edition of its repository", { timeout: 120_000, skip }, async (context) => {
    const results = await runBehindProxy(await loadSuiteFrom(checkout!));
    context.diagnostic(scoreOf(results));
    assertAsExpected(results, OF_THE_REPOSITORY);
  });
});

async function runBehindProxy(suite: CacheSuite): Promise<readonly SuiteResult[]> {
  using folder = new TestFolder();
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
  const logged = (proxy as ProxyUnderTest | null)?.logged ?? [];
  assert.deepEqual(
    logged.filter(({ level }) => level === "error"),
    [],
  );
  return results;
}

function assertAsExpected(
  results: readonly SuiteResult[],
  { edition, groups, required, optimal, checked, eitherWay }: Expectations,
): void {
  const found: Record<string, number> = {};
  for (const { suite } of results) found[suite] = (found[suite] ?? 0) + 1;
  const others = [...new Set([...Object.keys(groups), ...Object.keys(found)])]
    .filter((group) => found[group] !== groups[group])
    .map((group) => `${group} has ${found[group] ?? 0} tests in place of ${groups[group] ?? 0}`);
  const isOther = `this is not ${edition}, which the expectations are of: ${others.join(", ")}; look at what is new, and expect it`;
  assert.deepEqual(others, [], isOther);
  const expected = [...Object.keys(required), ...Object.keys(optimal), ...checked];
  const failed = results.filter(({ id, verdict }) => verdict !== "pass" && !eitherWay.includes(id));
  const unexpected = failed.filter(({ id }) => !expected.includes(id)).map(describeResult);
  const passedAfterAll = expected.filter((id) => !failed.some((result) => result.id === id));
  assert.deepEqual({ unexpected, passedAfterAll }, { unexpected: [], passedAfterAll: [] });
}

function describeResult({ kind, suite, id, verdict, message }: SuiteResult): string {
  return `${kind} ${suite}/${id}: ${verdict} ${message}`;
}
