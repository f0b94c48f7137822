// What people write in place of what a field takes, and what they are told.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const forward = (block: string) => `servers: { egress: { listen: "127.0.0.1:1", forward: ${block} } }`;
const rule = (fields: string) => forward(`{ allow: [{ ${fields} }] }`);
const server = (fields: string) => `servers: { web: { respond: 204, ${fields} } }`;

describe("a common slip", () => {
  for (const [text, expected] of [
    [server("listen: 3128"), /\.listen: .*; did you mean ":3128"\?$/],
    [server("listen: [3128]"), /\.listen\[0\]: .*; did you mean ":3128"\?$/],
    [server("listen: { address: 3128 }"), /\.listen\.address: .*; did you mean ":3128"\?$/],
    [server("listen: 70000"), /got a number$/],
    [forward(""), /\.forward: expected a mapping, got nothing: for a proxy without options write forward: \{\}$/],
    [
      `forward: {}\n${server('listen: ":1"')}`,
      /forward: belongs to a server: servers: \{ NAME: \{ listen, forward \} \}$/,
    ],
    [rule('hosts: "*"'), /\.hosts: .*: for every host leave hosts out$/],
    [rule('hosts: ["*"]'), /\.hosts\[0\]: .*: for every host leave hosts out$/],
    [forward("{ timeouts: { connect: 5 } }"), /\.connect: .*; did you mean "5s"\?$/],
    [forward("{ timeouts: { connect: 0 } }"), /\.connect: expected a duration such as 30s, got 0$/],
    [rule("times: { days: [monday] }"), /\.days\[0\]: .*; did you mean "mon"\?$/],
    [rule("times: { days: Monday }"), /\.days: expected a list, got text: a list of one is \[mon\]$/],
    [rule('times: { from: "8:00" }'), /\.from: .*; did you mean "08:00"\?$/],
    [server('listen: { address: ":1", proxyProtocol: true }'), /: write \{ from: NETWORKS \}, those of the balancers$/],
    [
      forward("{ allow: { networks: 10.0.0.0/8 } }"),
      /\.allow: expected a list, got a mapping: a list of one is \[\{ \.\.\. \}\]$/,
    ],
  ] as const) {
    it(text.replace("\n", " "), () => {
      const result = parseConfig(text, { file: "headgate.yaml" });
      assert.ok(!result.ok, "it was taken");
      const lines = result.problems.map(formatProblem);
      assert.equal(lines.length, 1, lines.join("\n"));
      assert.match(lines[0]!, expected);
    });
  }
});
