// The public suite as the package has it, but for its tests of Surrogate-Control, which no RFC knows and RFC 9213 has replaced. It
// keeps what it found in its modules, so a process can run it once.

import type { CacheSuite } from "./cache-suite.ts";

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
