// The plugin of examples/plugin, from its headgate.ts: a field for the upstream, an answer of its own, other bytes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";

test("visits are counted, told and louder", { timeout: 120_000 }, async () => {
  await using origin = await Origin.start((request, response) => {
    response.setHeader("Content-Type", request.url === "/text" ? "text/plain" : "text/html");
    response.end(`visit ${request.headers["x-visit"]}, coded ${request.headers["accept-encoding"]}`);
  });
  const PORT = String(await freePort());
  const env = { PORT, UPSTREAM_PORT: String(origin.port) };
  await using program = Program.headgate(["run", "--config", "examples/plugin/headgate.ts"], { env });
  await program.until(/web on http:/);
  const get = async (target: string) => (await fetch(`http://127.0.0.1:${PORT}${target}`)).text();
  assert.equal(await get("/text"), "VISIT 1, CODED UNDEFINED");
  assert.equal(await get("/html"), "visit 2, coded undefined");
  assert.equal(await get("/visits"), "2 visits\n");
  assert.equal(origin.asked.length, 2);
  assert.equal(await program.stop(), 0, program.output);
});
