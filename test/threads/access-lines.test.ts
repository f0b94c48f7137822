// All workers write to one access log, and lines are never mixed: on a pipe, where large writes are not one piece, as in a file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Folder, Running } from "../cli/headgate.ts";
import { bodyFrom, Clients } from "./workers.ts";

const REQUESTS = 40;

for (const output of ["stdout", "access.log"]) {
  test(`lines of two workers in ${output} are whole, and none is missing`, async () => {
    using folder = new Folder();
    const log = `log: { access: { format: "{path} {status}", output: ${output} } }`;
    folder.file("headgate.yaml", `workers: 2\nservers: { web: { listen: "127.0.0.1:0", respond: 204 } }\n${log}\n`);
    let stdout = "";
    const expected: string[] = ["/ 204"];
    {
      await using running = await Running.start(folder.path, "run");
      using clients = await Clients.connect(running.port("web"), 8);
      for (const [index, { client }] of clients.all.entries()) {
        for (let i = 0; i < REQUESTS; i++) {
          const path = `/${String(index).repeat(2000)}/${i}`;
          await bodyFrom(client, path);
          expected.push(`${path} 204`);
        }
      }
      await running[Symbol.asyncDispose]();
      stdout = running.stdout;
    }
    const text = output === "stdout" ? stdout : readFileSync(folder.file("access.log"), "utf8");
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 8 * REQUESTS + 8);
    assert.deepEqual([...new Set(lines)].sort(), expected.sort());
  });
}
