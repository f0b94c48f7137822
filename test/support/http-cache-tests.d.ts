// What the tests use of the package, which has no types of its own.
declare module "http-cache-tests/tests/index.mjs" {
  const suites: import("./cache-suite.ts").SuiteOfTests[];
  export default suites;
}
declare module "http-cache-tests/client/runner.mjs" {
  export const runTests: import("./cache-suite.ts").CacheSuite["runTests"];
  export const getResults: import("./cache-suite.ts").CacheSuite["getResults"];
}
declare module "http-cache-tests/lib/display.mjs" {
  export const determineTestResult: import("./cache-suite.ts").CacheSuite["determineTestResult"];
}
declare module "http-cache-tests/server/handle-config.mjs" {
  const handle: import("./cache-suite.ts").SuiteHandler;
  export default handle;
}
declare module "http-cache-tests/server/handle-test.mjs" {
  const handle: import("./cache-suite.ts").SuiteHandler;
  export default handle;
}
declare module "http-cache-tests/server/handle-state.mjs" {
  const handle: import("./cache-suite.ts").SuiteHandler;
  export default handle;
}
