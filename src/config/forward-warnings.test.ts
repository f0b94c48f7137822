// What `check` says of rules of a forward proxy that can hardly be meant so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const HASH = "$2y$05$QQxXQxCQRLXpNwgcU8rjh.TJXFsQphwwuJ/iMNEQ7HzB4uh0RHZSe";

function warningsOf(forward: Readonly<Record<string, unknown>>): readonly string[] {
  const config = { servers: { egress: { listen: "127.0.0.1:3128", forward } } };
  const result = parseConfig(JSON.stringify(config), { file: "headgate.json" });
  assert.ok(result.ok, JSON.stringify(result));
  return result.warnings.map((warning) => formatProblem(warning).replace(/^\S+ servers\.egress\.forward\./, ""));
}

const PARENT = { proxy: "http://proxy.example:3128" };

for (const [name, forward, warnings] of [
  [
    "users that there are not",
    {
      auth: { basic: { users: { alice: HASH } } },
      deny: [{ users: ["alice", "mallory"], hosts: "a.example" }],
      allow: [{ users: "alicia" }, { users: "bob" }],
    },
    [
      "deny[0].users: mallory is not in users",
      'allow[0].users: alicia is not in users: this rule lets nobody pass; did you mean "alice"?',
      "allow[1].users: bob is not in users: this rule lets nobody pass",
    ],
  ],
  [
    "methods that are nearly usual ones",
    { allow: [{ methods: ["CONECT", "GET", "SUBSCRIBE"] }] },
    ['allow[0].methods: CONECT is no usual method; did you mean "CONNECT"?'],
  ],
  [
    "names that do not tell two rules apart",
    { deny: [{ name: "a", hosts: "a.example" }], allow: [{ name: "a", hosts: "b.example" }] },
    ["allow[0].name: another rule is called a, too: the log does not tell them apart"],
  ],
  [
    "rules behind one that takes all, but not those that take more",
    {
      allow: [
        { name: "all" },
        { hosts: "a.example" },
        { networks: "10.0.0.0/8" },
        { hosts: "a.example", ports: 8080 },
        { hosts: "a.example", connectPorts: [22, 443] },
      ],
    },
    ["allow[1]: is never asked: all stands before it and has no conditions"],
  ],
  [
    "whatever stands behind a refusal of all",
    { deny: [{}, { hosts: "a.example" }], allow: [{ networks: "10.0.0.0/8" }] },
    [
      "deny[1]: is never asked: deny[0] stands before it and has no conditions",
      "allow[0]: is never asked: deny[0] stands before it and has no conditions",
    ],
  ],
  [
    "ways behind one that takes all",
    { via: [{ ...PARENT, hosts: "a.example" }, "direct", PARENT] },
    ['via[2]: is never asked: "direct" stands before it and takes all'],
  ],
  ["what is meant", { via: [{ ...PARENT, ports: 80 }, PARENT], allow: [{ hosts: "a.example" }, {}] }, []],
] as const) {
  test(`warns of: ${name}`, () => assert.deepEqual(warningsOf(forward), warnings));
}
