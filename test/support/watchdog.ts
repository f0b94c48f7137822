// Loaded into every test process before the tests (scripts/test.ts). Node's runner waits without end for a file that
// leaves a socket, a timer or a child process behind, so this ends such a file as failed and says what kept it alive.

import path from "node:path";
import { isMainThread } from "node:worker_threads";

/**
 * Far above the slowest test file, which takes two minutes where others have the processors too, so that only one that hangs reaches
 * it; TEST_FILE_MS_MAX overrules it.
 */
const fileMsMax = Number(process.env.TEST_FILE_MS_MAX ?? 6 * 60_000);

// Worker threads of the tests load this too; their process watches for them. The timer itself keeps nothing alive.
if (isMainThread) {
  setTimeout(() => {
    const file = path.relative(process.cwd(), process.argv[1] ?? "");
    const resources = process.getActiveResourcesInfo().join(", ");
    console.error(`${file} still runs after ${fileMsMax / 1000} s; kept alive by: ${resources}`);
    process.exit(1);
  }, fileMsMax).unref();
}
