// What the application log looks like to a machine and to a person, and that floods of one fault are one line.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { createAppLog } from "./app-log.ts";
import { INTERVAL_MS, RepeatedFaults } from "./repeated-faults.ts";

function logged(isForPeople: boolean): { lines: string[]; log: ReturnType<typeof createAppLog> } {
  const lines: string[] = [];
  return { lines, log: createAppLog({ level: "info", isForPeople, write: (line) => lines.push(line) }) };
}

describe("the application log", () => {
  test("is JSON for machines, with the level as a word", () => {
    const { lines, log } = logged(false);
    log.debug("not wanted");
    log.warn({ file: "a.pem" }, "about to expire");
    assert.equal(lines.length, 1);
    const { time, ...entry } = JSON.parse(lines[0] ?? "") as Record<string, string>;
    assert.deepEqual(entry, { level: "warn", file: "a.pem", msg: "about to expire" });
    assert.match(time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  test("is plain lines for people, with the stack of a fault", () => {
    const { lines, log } = logged(true);
    log.info("ready");
    log.error({ err: new TypeError("odd\x1b[2J"), route: "web.routes[0]" }, "an exchange failed");
    assert.match(lines[0] ?? "", /^\d\d:\d\d:\d\d info {2}ready\n$/);
    assert.match(
      lines[1] ?? "",
      /^\d\d:\d\d:\d\d error an exchange failed route=web\.routes\[0\]: odd\\x1b\[2J\n +at .*app-log\.test\.ts/,
    );
  });
});

describe("repeated faults", () => {
  test("are told once, and later with the number of those in between", () => {
    const clock = new VirtualClock();
    const faults = new RepeatedFaults(clock);
    const told: unknown[] = [];
    const report = (kind: string) => faults.report(kind, (details) => told.push([kind, details]));
    for (let i = 0; i < 5; i++) report("a");
    report("b");
    assert.deepEqual(told, [
      ["a", {}],
      ["b", {}],
    ]);
    clock.advance(INTERVAL_MS);
    report("a");
    report("b");
    assert.deepEqual(told.slice(2), [
      ["a", { untold: 4 }],
      ["b", {}],
    ]);
  });
});
