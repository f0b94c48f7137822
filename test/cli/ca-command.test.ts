// `headgate ca` as a new user runs it: a CA is made, and what `ca show` prints makes clients trust it.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { TRUST_PLACES, trustInstructions } from "../../src/cli/trust-instructions.ts";
import { defaultAuthorityFolder } from "../../src/config/authority-folders.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { leavesOf, loadAuthority } from "../../src/server/interception-authority.ts";
import { clock } from "../../src/server/surroundings.ts";
import { findCommand, needs } from "../support/requirements.ts";
import { Folder, headgate, type Outcome } from "./headgate.ts";

const run = promisify(execFile);
const folder = new Folder();
/** A shell has to be told where it ends. */
const place = folder.file("our ca's");
const file = path.join(place, "ca.pem");
let made: Outcome;
/** It has a certificate of the CA for localhost. */
let server: https.Server;
let url = "";

before(async () => {
  made = headgate(folder.path, "ca", "init", "--dir", place, "--hosts", "localhost,10.0.0.0/8");
  assert.equal(made.status, 0, made.stderr);
  const { authority } = await loadAuthority(place, ["localhost"], [], clock);
  const leaf = await leavesOf(authority, folder.file("leaves"), clock, assert.fail).leafFor("localhost");
  server = https.createServer({ cert: leaf.cert, key: leaf.key }, (request, response) => {
    response.writeHead(request.url === "/hello" ? 200 : 404).end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `https://localhost:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server?.closeAllConnections();
  server?.close();
  folder[Symbol.dispose]();
});

test("ca init says what it has made, and what comes next", () => {
  const { stdout, stderr } = made;
  assert.equal(stderr, "");
  assert.ok(stdout.startsWith(`made a CA in ${place}\n\n`), stdout);
  assert.match(stdout, /^subject {6}CN=Headgate CA \(/m);
  assert.match(stdout, /^SHA-256 {6}([0-9A-F]{2}:){31}[0-9A-F]{2}$/m);
  assert.match(stdout, /^valid {8}from 20[0-9-]{8} to 20[0-9-]{8}$/m);
  assert.match(stdout, /^certifies {4}only localhost and below, 10\.0\.0\.0\/8$/m);
  assert.ok(stdout.includes("  headgate ca show --dir '"), stdout);
  assert.match(stdout, /^note {9}wider than asked, .*: localhost permits all names below it as well$/m);
  assert.ok(
    stdout.endsWith(`  forward:\n    intercept: { hosts: [localhost], ca: ${JSON.stringify(place)} }\n`),
    stdout,
  );
});

test("what ca init prints for the configuration is a configuration", () => {
  for (const [name, hosts, printed, note] of [
    [
      "any",
      [],
      /# In place of \*\.example\.org: .*\n {4}intercept: \{ hosts: \["\*\.example\.org"\], ca: \S+ \}\n$/,
      null,
    ],
    [
      "below",
      ["--hosts", "*.example.org"],
      /hosts: \["\*\.example\.org"\]/,
      /^note .*: \*\.example\.org permits example\.org as well$/m,
    ],
    ["both", ["--hosts", "a.example,*.a.example"], /hosts: \[a\.example, "\*\.a\.example"\]/, null],
  ] as const) {
    const { stdout } = headgate(folder.path, "ca", "init", "--dir", folder.file(name), ...hosts);
    assert.match(stdout, printed);
    if (note === null) assert.doesNotMatch(stdout, /^note/m);
    else assert.match(stdout, note);
    const [, block = ""] = stdout.split("of the server:\n");
    const parsed = parseConfig(`servers:\n web:\n  listen: "127.0.0.1:1"\n${block}`, { file: "headgate.yaml" });
    assert.ok(parsed.ok, stdout);
  }
});

test("ca show says when others may read the key", () => {
  const loose = folder.file("any");
  chmodSync(path.join(loose, "ca.key"), 0o644);
  const { stdout } = headgate(folder.path, "ca", "show", "--dir", loose);
  assert.match(
    stdout,
    /^warning {6}.*ca\.key: other users may read or write the key of the CA \(mode 644\): chmod 600 it$/m,
  );
});

test("a mistake is one line, and its status says whose it is", () => {
  const again = headgate(folder.path, "ca", "init", "--dir", place);
  assert.match(again.stderr, /^.*ca\.key exists already; --force makes a new CA in its place: .*\n$/);
  assert.deepEqual([again.stdout, again.status], ["", 1]);
  const days = headgate(folder.path, "ca", "init", "--dir", place, "--days", "x");
  assert.deepEqual(days, { status: 2, stdout: "", stderr: '--days: expected a number from 1 to 7300, got "x"\n' });
});

test("the folder that is taken when none is named stands in the help", () => {
  const { XDG_DATA_HOME } = process.env;
  const dir = defaultAuthorityFolder({ uid: process.getuid?.() ?? null, env: { XDG_DATA_HOME }, home: os.homedir() });
  const { stdout } = headgate(folder.path, "ca", "init", "--help");
  assert.ok(stdout.replace(/\s+/g, " ").includes(`(default: "${dir}")`), stdout);
});

test("ca show says what the CA is and how every client comes to trust it, without its key", () => {
  chmodSync(path.join(place, "ca.key"), 0o000);
  const { stdout, status } = headgate(folder.path, "ca", "show", "--dir", place);
  assert.equal(status, 0);
  assert.match(stdout, /^certifies {4}only localhost and below, 10\.0\.0\.0\/8$/m);
  for (const where of TRUST_PLACES) {
    assert.ok(stdout.includes(trustInstructions(file, where).join("\n")), where);
  }
  assert.ok(!stdout.includes("PRIVATE KEY"));

  const curl = headgate(folder.path, "ca", "show", "--dir", place, "--for", "curl");
  assert.equal(curl.stdout, `${trustInstructions(file, "curl").slice(1).join("\n")}\n`);
});

/** Runs what `ca show` prints for a client, and behind it the client. */
async function trusting(instructions: readonly string[], command: string): Promise<string> {
  const env = { PATH: process.env.PATH, HOME: folder.path, GIT_TERMINAL_PROMPT: "0" };
  try {
    const said = await run("sh", ["-ec", [...instructions, command].join("\n")], { env, cwd: folder.path });
    return said.stdout;
  } catch (error) {
    return (error as { stderr: string }).stderr;
  }
}

const fetching = "fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)";
const opening = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())";
const clients = [
  ["node", () => `'${process.execPath}' -e '${fetching}' ${url}/hello`, /^hello$/m, false],
  ["curl", () => `curl --silent --show-error ${url}/hello`, /^hello$/m, needs("curl")],
  ["python", () => `python3 -c '${opening}' ${url}/hello`, /^hello$/m, needs("python3")],
  [
    "git",
    () => `git ls-remote ${url}/repository.git`,
    /not found/,
    findCommand("git") === null && "skipped: needs git",
  ],
] as const;
for (const [client, command, expected, skip] of clients) {
  test(`${client} trusts it by what is printed, and not without`, { skip }, async () => {
    assert.match(await trusting([], command()), /certificate/i);
    // Behind the empty line and the title.
    assert.match(await trusting(trustInstructions(file, client).slice(2), command()), expected);
  });
}
