// The gateway that passes WebSockets on /up and nothing else, three times: as flags, as a file, as a program.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { WebSocket } from "ws";
import { freePort } from "../support/free-port.ts";
import { Program, repositoryRoot } from "../support/program.ts";

const TIMEOUT = { timeout: 120_000 };
const folder = "examples/websocket-gateway";
const read = (file: string) => readFileSync(path.join(repositoryRoot, folder, file), "utf8");

let upstream: Program;
let upstreamPort: string;

before(async () => {
  upstream = Program.node(`${folder}/upstream.ts`, [], { env: { UPSTREAM_PORT: "0" } });
  [, upstreamPort = ""] = await upstream.until(/upstream on port (\d+)/);
});

after(() => upstream.stop());

/** The command of the README, with this test's ports. */
function startFromFlags(port: string): Program {
  const [, command = ""] = /^headgate (proxy .*)$/m.exec(read("README.md")) ?? [];
  assert.equal(command, "proxy --listen :8008 --to http://127.0.0.1:3000 --path /up --websocket");
  return Program.headgate(command.replace("8008", port).replace("3000", upstreamPort).split(" "));
}

const forms: [name: string, start: (port: string, env: Record<string, string>) => Program][] = [
  ["flags", startFromFlags],
  ["file", (_, env) => Program.headgate(["run", "--config", `${folder}/headgate.yaml`], { env })],
  ["program", (_, env) => Program.node(`${folder}/gateway.ts`, [], { env })],
];

for (const [name, start] of forms) {
  describe(name, () => {
    let gateway: Program;
    let at: string;

    before(async () => {
      const port = String(await freePort());
      at = `127.0.0.1:${port}`;
      gateway = start(port, { GATEWAY_PORT: port, UPSTREAM_PORT: upstreamPort });
      await gateway.until(new RegExp(`:${port} \\(all addresses\\)|gateway on port ${port}`));
    });

    after(async () => {
      assert.equal(await gateway.stop(), 0, gateway.output);
    });

    test("a WebSocket on /up passes", TIMEOUT, async () => {
      const socket = new WebSocket(`ws://${at}/up`);
      const echo = new Promise((resolve, reject) => socket.once("message", resolve).once("error", reject));
      socket.once("open", () => socket.send("hello"));
      assert.equal(String(await echo), "hello");
      const closed = new Promise<number>((resolve) => socket.once("close", resolve));
      socket.close(4000);
      assert.equal(await closed, 4000);
    });

    test("everything else is 404", TIMEOUT, async () => {
      for (const target of ["/", "/up", "/up/", "/upper"]) {
        assert.equal((await fetch(`http://${at}${target}`)).status, 404, target);
      }
      for (const target of ["/", "/up/x"]) {
        const refused = await new Promise((resolve) => {
          new WebSocket(`ws://${at}${target}`)
            .on("error", () => {})
            .on("unexpected-response", (request, response) => {
              resolve(response.statusCode);
              request.destroy();
            });
        });
        assert.equal(refused, 404, target);
      }
    });
  });
}

test("the program has at most 30 lines", () => {
  assert.ok(read("gateway.ts").trimEnd().split("\n").length <= 30);
});
