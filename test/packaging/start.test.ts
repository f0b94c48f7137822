// `npm start` after its set-up: scripts/start.ts brings up the demo upstream and the proxy, the commands that it prints
// work when pasted, and when it ends nothing is left running.

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { freePort } from "../support/free-port.ts";
import { needs } from "../support/requirements.ts";
import { repositoryRoot, userEnvironment } from "./npm.ts";

interface Started {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly closed: Promise<unknown[]>;
}

async function start(context: TestContext, port: number): Promise<Started> {
  const ports = {
    START_PORT: String(port),
    START_UPSTREAM_PORT: String(await freePort()),
    START_FORWARD_PORT: String(await freePort()),
  };
  const cache = mkdtempSync(path.join(os.tmpdir(), "headgate-start-"));
  context.after(() => rmSync(cache, { recursive: true, force: true }));
  const env = { ...userEnvironment(), ...ports, CACHE_DIRECTORY: cache };
  // The leader of a group, as what a shell starts in a terminal.
  const child = spawn(process.execPath, [path.join(repositoryRoot, "scripts/start.ts")], { env, detached: true });
  context.after(() => endAll(child));
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (said += chunk));
  // Not "exit": the streams end when the last process that writes to them has ended.
  return { child, said: () => said, closed: once(child, "close") };
}

/** As often as it takes: a test that fails may have left something under way. What it started is its own to end. */
async function endAll(child: ChildProcess): Promise<void> {
  while (child.exitCode === null && child.signalCode === null) {
    child.kill("SIGTERM");
    await Promise.race([once(child, "exit"), pause(600)]);
  }
}

/** Waits until the text has been printed. */
async function saying(started: Started, text: string): Promise<void> {
  const ended = started.closed.then(() => assert.fail(`ended before "${text}":\n${started.said()}`));
  const { stdout, stderr } = started.child;
  while (!started.said().includes(text)) await Promise.race([once(stdout!, "data"), once(stderr!, "data"), ended]);
}

test("npm start serves, its commands work, and it leaves nothing behind", { skip: needs("curl") }, async (context) => {
  const started = await start(context, await freePort());
  await saying(started, "Ctrl-C");
  const commands = started.said().match(/(?<=^ {2})curl .*$/gm) ?? [];
  assert.equal(commands.length, 3);
  for (const command of commands) {
    // Events go on for ever: the first one is enough, whenever it comes.
    const first = command.includes("events") ? "--no-buffer | grep --max-count=1 '^data: '" : "";
    const shell = `${command} --silent --show-error --fail --max-time 60 ${first}`;
    const { stdout } = await promisify(execFile)("/bin/sh", ["-c", shell]);
    assert.match(stdout, /It works|"via": "1\.1 |^data: /m, command);
  }
  started.child.kill("SIGTERM");
  assert.deepEqual(await started.closed, [0, null]);
});

test("npm start lets what is under way end at Ctrl-C, and a second one cuts it off", async (context) => {
  const port = await freePort();
  const started = await start(context, port);
  await saying(started, "Ctrl-C");
  const events = http.get({ port, path: "/events", agent: false });
  const [response] = (await once(events, "response")) as [http.IncomingMessage];
  // It is cut off in the end.
  for (const one of [events, response]) one.on("error", () => {});
  const cut = new Promise((_, reject) => {
    response.once("close", () => reject(new Error(`the events ended:\n${started.said()}`)));
  });
  cut.catch(() => {});
  const nextEvent = () => Promise.race([once(response, "data"), cut]);
  await nextEvent();
  // The terminal's, and the same of npm, which passes it on.
  process.kill(-started.child.pid!, "SIGINT");
  started.child.kill("SIGINT");
  await saying(started, "no new connections");
  // One a second.
  for (let count = 0; count < 3; count++) await nextEvent();
  assert.doesNotMatch(started.said(), /cutting off/);
  process.kill(-started.child.pid!, "SIGINT");
  assert.deepEqual(await started.closed, [0, null]);
  assert.match(started.said(), /cutting off what is left/);
});

test("npm start fails with one line when its port is taken", async (context) => {
  const holder = net.createServer().listen(0, "127.0.0.1");
  await once(holder, "listening");
  const { port } = holder.address() as AddressInfo;
  const started = await start(context, port);
  assert.deepEqual(await started.closed, [1, null]);
  assert.match(started.said(), new RegExp(`${port}.*in use`));
  assert.doesNotMatch(started.said(), /^\s+at /m);
  holder.close();
});
