// The authentication service in front of an application, as the README of the example runs it.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { freePort } from "../support/free-port.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 120_000 };
const folder = "examples/forward-auth";
const readme = readFileSync(path.join(repositoryRoot, folder, "README.md"), "utf8");

describe("forward-auth", () => {
  const env: Record<string, string> = {};
  let auth: Program;
  let upstream: Program;
  let gateway: Program;
  let cookies: string;

  before(async () => {
    cookies = mkdtempSync(path.join(os.tmpdir(), "headgate-cookies-"));
    for (const name of ["AUTH_PORT", "UPSTREAM_PORT", "GATEWAY_PORT"]) env[name] = String(await freePort());
    auth = Program.node(`${folder}/auth.ts`, [], { env });
    upstream = Program.node(`${folder}/upstream.ts`, [], { env });
    await auth.until(/auth on port/);
    await upstream.until(/upstream on port/);
    gateway = Program.headgate(["run", "--config", `${folder}/headgate.yaml`], { env });
    await gateway.until(new RegExp(`:${env.GATEWAY_PORT} \\(all addresses\\)`));
  });

  after(async () => {
    rmSync(cookies, { recursive: true });
    await auth.stop();
    await upstream.stop();
    assert.equal(await gateway.stop(), 0, gateway.output);
  });

  /** Each line of the README with a status behind it, in order. */
  const commands = [...readme.matchAll(/^(curl .*?) +# (\d{3})(?: (.*))?$/gm)].map(([, command, status, text]) => {
    return { command: command!, status: status!, text: text ?? "" };
  });

  async function run(command: string): Promise<string> {
    const line = command.replaceAll(":8080", `:${env.GATEWAY_PORT}`).replace("curl", "curl -s");
    await using shell = Program.command("sh", ["-c", line], { cwd: cookies });
    assert.equal(await shell.exit(), 0, shell.output);
    return shell.output;
  }

  test("does what the README says, line by line", { skip: needs("curl"), ...TIMEOUT }, async () => {
    assert.equal(commands.length, 10);
    for (const { command, status, text } of commands) {
      const output = await run(command);
      assert.match(output, new RegExp(`^HTTP/1\\.1 ${status} `), command);
      assert.ok(output.includes(text), `${command}: ${output}`);
    }
  });

  test("answers 503 while the service is stopped, and goes on when it is back", TIMEOUT, async () => {
    const url = `http://127.0.0.1:${env.GATEWAY_PORT}/x`;
    await auth.stop();
    const away = await fetch(url);
    assert.deepEqual([away.status, away.headers.get("retry-after")], [503, "5"]);
    auth = Program.node(`${folder}/auth.ts`, [], { env });
    await auth.until(/auth on port/);
    assert.equal((await fetch(url)).status, 401);
  });
});
