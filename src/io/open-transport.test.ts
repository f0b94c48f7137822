// Which transport is opened: by name, by the environment, by what this machine can; and what is said when it cannot.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";

const MODULE = JSON.stringify(path.join(import.meta.dirname, "open-transport.ts"));
const CLOCK = JSON.stringify(path.join(import.meta.dirname, "clock.ts"));
const NO_ADDON = "/nowhere/headgate.node";

/** The name of the transport that a process of its own opens, or the message of the error. */
function open(wanted: string, env: Readonly<Record<string, string>>): string {
  const script = `
    const { openTransport } = await import(${MODULE});
    const { SystemClock } = await import(${CLOCK});
    try {
      console.log(openTransport(${JSON.stringify(wanted)}, new SystemClock()).name);
    } catch (error) {
      console.log(error.message);
    }
  `;
  const { HEADGATE_TRANSPORT: _transport, HEADGATE_ADDON: _addon, ...inherited } = process.env;
  const options = { env: { ...inherited, ...env }, encoding: "utf8" } as const;
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], options);
  assert.equal(stderr, "");
  return stdout.trim();
}

test("without the addon: auto is net, and native is an error that says what is missing", () => {
  const env = { HEADGATE_ADDON: NO_ADDON };
  assert.equal(open("auto", env), "net");
  assert.equal(open("auto", { ...env, HEADGATE_TRANSPORT: "" }), "net");
  const message = /^the native transport cannot be used: (.*\/nowhere\/headgate\.node|it runs on Linux)/;
  assert.match(open("native", env), message);
  assert.match(open("auto", { ...env, HEADGATE_TRANSPORT: "native" }), message);
});

test("the environment says what auto means, and nothing else", () => {
  assert.equal(open("auto", { HEADGATE_TRANSPORT: "net" }), "net");
  assert.equal(open("net", { HEADGATE_TRANSPORT: "native", HEADGATE_ADDON: NO_ADDON }), "net");
  assert.equal(
    open("auto", { HEADGATE_TRANSPORT: "fast" }),
    'HEADGATE_TRANSPORT is "fast": it must be native, net or auto',
  );
});
