// The public suite in two editions: the package of the lock file, which is older than RFC 9111, and a checkout of the suite's
// repository that a developer names in HTTP_CACHE_SUITE. The package leaves out the tests of Surrogate-Control, which no RFC knows
// and RFC 9213 has replaced. Each keeps what it found in its modules, so a process can run it once.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { CacheSuite, SuiteFetch } from "./cache-suite.ts";

export async function loadPublicSuite(): Promise<CacheSuite> {
  const [{ default: suites }, { runTests, getResults }, { determineTestResult }] = await Promise.all([
    import("http-cache-tests/tests/index.mjs"),
    import("http-cache-tests/client/runner.mjs"),
    import("http-cache-tests/lib/display.mjs"),
  ]);
  const [{ default: config }, { default: test }, { default: state }] = await Promise.all([
    import("http-cache-tests/server/handle-config.mjs"),
    import("http-cache-tests/server/handle-test.mjs"),
    import("http-cache-tests/server/handle-state.mjs"),
  ]);
  return {
    suites,
    runTests,
    getResults,
    determineTestResult,
    handlers: { config, test, state },
  };
}

/** Says what is wrong with the folder, as a sentence for the developer who named it. */
export async function loadSuiteFrom(folder: string): Promise<CacheSuite> {
  const load = async <Module>(file: string): Promise<Module> => {
    const whole = path.resolve(folder, file);
    if (!existsSync(whole))
      throw new Error(`HTTP_CACHE_SUITE: ${folder} is no checkout of the suite: it has no ${file}`);
    return (await import(pathToFileURL(whole).href)) as Module;
  };
  const { default: suites } = await load<{ default: CacheSuite["suites"] }>("tests/index.mjs");
  const runner = await load<CurrentRunner>("test-engine/client/runner.mjs");
  const { determineTestResult } = await load<Pick<CacheSuite, "determineTestResult">>("test-engine/lib/results.mjs");
  const handler = async (of: string) =>
    (await load<{ default: CacheSuite["handlers"]["test"] }>(`test-engine/server/handle-${of}.mjs`)).default;
  const [config, test, state] = await Promise.all([handler("config"), handler("test"), handler("state")]);
  checkUndici(folder);
  return {
    suites,
    runTests: (chosen, fetch, isBrowser, base, atOnce) =>
      withFetch(fetch, () => runner.runTests(chosen, isBrowser, base, atOnce)),
    getResults: runner.getResults,
    determineTestResult,
    handlers: { config, test, state },
  };
}

interface CurrentRunner extends Pick<CacheSuite, "getResults"> {
  runTests(suites: CacheSuite["suites"], isBrowser: boolean, base: string, atOnce: number): Promise<void>;
}

/** What the suite looks at interim responses with. Without it those tests would fail as if the cache had swallowed them. */
function checkUndici(folder: string): void {
  try {
    createRequire(path.resolve(folder, "package.json")).resolve("undici");
  } catch {
    throw new Error(`HTTP_CACHE_SUITE: ${folder} lacks the package undici; run there: npm install --no-save undici`);
  }
}

/**
 * The current edition calls the `fetch` of the platform, which would send fields of its own. Only what looks at interim
 * responses stays with that one: it brings a dispatcher, which ours does not know.
 */
async function withFetch(fetch: SuiteFetch, run: () => Promise<void>): Promise<void> {
  const { fetch: platforms } = globalThis;
  const either = (url: string, init?: RequestInit & { dispatcher?: object }) =>
    init?.dispatcher === undefined ? fetch(url, init as Parameters<SuiteFetch>[1]) : platforms(url, init);
  globalThis.fetch = either as typeof globalThis.fetch;
  try {
    await run();
  } finally {
    globalThis.fetch = platforms;
  }
}
