// Addresses that traffic is redirected to: what may stand beside `transparent`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { filesBeside } from "./load.ts";
import { parseConfigObject } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const AUTH = { basic: { users: { ci: "$2b$04$abcdefghijklmnopqrstuuTb3nyXKNmcf8.CFPLpLRVmhNbPm1Hty" } } };
const FORWARD = { allow: [{ clients: ["10.0.0.0/8"] }] };
const TLS = { certificates: [{ cert: "a.pem", key: "a.key" }] };

function problemsOf(item: object, more: object): readonly string[] {
  const servers = { egress: { listen: [":3128", { transparent: true, address: ":3129", ...item }], ...more } };
  const result = parseConfigObject({ servers }, { file: "test", files: filesBeside("test") });
  return result.ok ? [] : result.problems.map(formatProblem);
}

test("a transparent address stands beside a usual one of the same forward proxy", () => {
  assert.deepEqual(problemsOf({}, { forward: FORWARD }), []);
  assert.deepEqual(problemsOf({}, { forward: { ...FORWARD, auth: { ...AUTH, optional: true } } }), []);
  assert.deepEqual(problemsOf({ transparent: false }, { respond: { body: "x" } }), []);
});

test("what cannot be on such an address is said there", () => {
  for (const [item, more, said] of [
    [{}, { respond: { body: "x" } }, /listen\[1\]\.transparent.*needs "forward"/],
    [{ tls: TLS }, { forward: FORWARD }, /listen\[1\]\.transparent.*beside "tls"/],
    [{ protocol: "socks" }, { forward: FORWARD }, /listen\[1\]\.transparent.*beside "protocol: socks"/],
    [{ proxyProtocol: { from: "10.0.0.1" } }, { forward: FORWARD }, /listen\[1\]\.transparent.*beside "proxyProtocol"/],
    [{ address: "unix:/run/x.sock" }, { forward: FORWARD }, /listen\[1\]\.transparent.*unix socket/],
    [
      {},
      { forward: { ...FORWARD, auth: AUTH } },
      /listen\[1\]\.transparent.*nobody can prove who it is.*"optional: true"/,
    ],
  ] as const) {
    const problems = problemsOf(item, more);
    assert.equal(problems.length, 1, problems.join("\n"));
    assert.match(problems[0]!, said);
  }
});

test("strangers are kept away from it as from any other", () => {
  assert.match(problemsOf({}, { forward: {} }).join("\n"), /would serve everybody/);
});
