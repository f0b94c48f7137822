// The public suite as the package has it. It keeps what it found in its modules, so a process can run it once.

import type { CacheSuite } from "./cache-suite.ts";

export async function loadPublicSuite(): Promise<CacheSuite> {
  const [{ default: suites }, { default: surrogateControl }, { runTests, getResults }, { determineTestResult }] =
    await Promise.all([
      import("http-cache-tests/tests/index.mjs"),
      import("http-cache-tests/tests/surrogate-control.mjs"),
      import("http-cache-tests/client/runner.mjs"),
      import("http-cache-tests/lib/display.mjs"),
    ]);
  const [{ default: config }, { default: test }, { default: state }] = await Promise.all([
    import("http-cache-tests/server/handle-config.mjs"),
    import("http-cache-tests/server/handle-test.mjs"),
    import("http-cache-tests/server/handle-state.mjs"),
  ]);
  return {
    suites: [...suites, surrogateControl],
    runTests,
    getResults,
    determineTestResult,
    handlers: { config, test, state },
  };
}
