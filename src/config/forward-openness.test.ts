// A forward proxy that is open because its file says so: allowed, and told of.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfigObject } from "./parse.ts";
import { formatProblem } from "./problems.ts";

function warningsOf(rule: Readonly<Record<string, unknown>>, listen = ":3128", auth?: unknown): readonly string[] {
  const forward = { allow: [{ clients: "10.0.0.0/8" }, rule], ...(auth !== undefined && { auth }) };
  const parsed = parseConfigObject({ servers: { egress: { listen, forward } } }, { file: "f.yaml" });
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.warnings.map(formatProblem);
}

const basic = { users: { ci: "$2b$04$abcdefghijklmnopqrstuuGSfcUS1fMFtHTWXOSLdsLLTmMWyGBQe" } };
const OPEN = "f.yaml: servers.egress.forward.allow[1].clients: serves everybody who can reach :3128";
const LIFTED =
  "f.yaml: servers.egress.forward.allow[1].networks: lifts the ban on private addresses, metadata services included";

test("clients that are everybody", () => {
  for (const clients of [
    "0.0.0.0/0",
    "::/0",
    "2000::/3",
    ["128.0.0.0/1", "0.0.0.0/1"],
    ["::/1", "8000::/1"],
    ["10.0.0.0/8", "::/0", "0.0.0.0/0"],
  ]) {
    assert.deepEqual(warningsOf({ clients }), [OPEN], String(clients));
    assert.deepEqual(warningsOf({ clients }, ":3128", { basic, optional: true }), [OPEN], String(clients));
    assert.deepEqual(warningsOf({ clients }, "127.0.0.1:3128"), [], String(clients));
    assert.deepEqual(warningsOf({ clients }, ":3128", { basic }), [], String(clients));
    assert.deepEqual(warningsOf({ clients, users: "ci" }, ":3128", { basic, optional: true }), [], String(clients));
  }
  for (const clients of ["10.0.0.0/8", "128.0.0.0/1", "fd00::/8", ["0.0.0.0/2", "128.0.0.0/1"], "2001:db8::/32"]) {
    assert.deepEqual(warningsOf({ clients }), [], String(clients));
  }
});

test("networks that are everything", () => {
  const clients = "10.0.0.0/8";
  for (const networks of ["0.0.0.0/0", "::/0", ["0.0.0.0/1", "128.0.0.0/1"]]) {
    assert.deepEqual(warningsOf({ clients, networks }), [LIFTED], String(networks));
    assert.deepEqual(warningsOf({ clients, networks }, "127.0.0.1:3128"), [LIFTED], String(networks));
  }
  assert.deepEqual(warningsOf({ clients, networks: ["10.0.0.0/8", "fd00::/8"] }), []);
});
