// `headgate forward`: a forward proxy from flags, which serves nobody whom its owner has not named.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, test } from "node:test";
import { configOfForwardFlags, type ForwardFlags } from "../../src/cli/forward-flags.ts";
import { forwardHints } from "../../src/cli/forward-hints.ts";
import type { Listening } from "../../src/server/listening-url.ts";
import { connectThrough } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { Folder, headgate, Running } from "./headgate.ts";

const TIMEOUT = { timeout: 120_000 };
const COMMAND = path.join(import.meta.dirname, "..", "..", "src", "cli", "main.ts");

function configOf(flags: Partial<ForwardFlags>) {
  return configOfForwardFlags({ listen: "127.0.0.1:3128", auth: [], ...flags });
}

function withInput(input: string, ...args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...args], { input, encoding: "utf8" });
  return { status, stdout, stderr };
}

test("headgate forward: flags that open it to everybody, or to everything inside, are warned of", async () => {
  const { warnings } = await configOf({ listen: ":3128", clients: "0.0.0.0/0", networks: "0.0.0.0/0" });
  assert.deepEqual(warnings, [
    "--clients: serves everybody who can reach :3128",
    "--networks: lifts the ban on private addresses, metadata services included",
  ]);
});

describe("headgate forward", () => {
  test(
    "without flags it says whom it serves and a command to try, and refuses this machine's own",
    TIMEOUT,
    async () => {
      using folder = new Folder();
      await using running = await Running.start(folder.path, "forward", "--listen", "127.0.0.1:0", "--workers", "1");
      await running.untilLogged(/^for other programs/);
      const port = running.port("proxy");
      assert.deepEqual(running.entries.map(({ msg }) => msg).slice(-4), [
        "it serves this machine",
        "requests go to any host at a public address, port 80 or 443, tunnels (https) to port 443; private addresses are refused (--networks)",
        `try: curl -x http://127.0.0.1:${port} http://example.org/`,
        `for other programs: export http_proxy=http://127.0.0.1:${port} https_proxy=http://127.0.0.1:${port}`,
      ]);
      const { client, status } = await connectThrough(port, "127.0.0.1:443");
      client[Symbol.dispose]();
      assert.equal(status, 403);
    },
  );

  test("--networks, --ports and --connect-ports; the log names the rule", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("hello"));
    using folder = new Folder();
    const { port } = origin;
    const flags = ["--networks", "127.0.0.0/8", "--ports", `80,${port}`, "--connect-ports", "1-65535"];
    await using running = await Running.start(folder.path, "forward", "--listen", "127.0.0.1:0", ...flags);
    using client = await RawClient.connect(running.port("proxy"));
    const authority = `127.0.0.1:${port}`;
    client.send(`GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    assert.equal((await client.answer()).body, "hello");
    const written = await running.untilStdout((text) => text.includes("\n"));
    const { rule, destination, route } = JSON.parse(written) as Record<string, unknown>;
    assert.deepEqual([rule, destination, route], ["networks", authority, "proxy.forward"]);
    client.send(`GET http://127.0.0.1:${port + 1}/ HTTP/1.1\r\nHost: 127.0.0.1:${port + 1}\r\n\r\n`);
    assert.equal((await client.answer()).status, 403);
  });

  test("--auth: 407 without the password; the hash alone is kept, and nothing is said of it", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("hello"));
    using folder = new Folder();
    const flags = ["--auth", "ci:very:secret", "--networks", "127.0.0.1", "--ports", "1-65535", "--workers", "1"];
    await using running = await Running.start(folder.path, "forward", "--listen", "127.0.0.1:0", ...flags);
    await running.untilLogged(/^for other programs: export http_proxy=http:\/\/ci:PASSWORD@127\.0\.0\.1:\d+ /);
    using client = await RawClient.connect(running.port("proxy"));
    for (const [login, status] of [
      [null, 407],
      ["ci:very", 407],
      ["ci:very:secret", 200],
    ] as const) {
      const encoded = Buffer.from(login ?? "").toString("base64");
      const line = login === null ? "" : `Proxy-Authorization: Basic ${encoded}\r\n`;
      client.send(`GET ${origin.url}/ HTTP/1.1\r\nHost: 127.0.0.1:${origin.port}\r\n${line}\r\n`);
      assert.equal((await client.answer()).status, status, login ?? "nobody");
    }
    assert.doesNotMatch(running.stderr + running.stdout, /secret|argon2/);
  });

  test("where strangers could use it, it does not start, and says which flags to add", TIMEOUT, async () => {
    using folder = new Folder();
    const { status, stdout, stderr } = headgate(folder.path, "forward", "--listen", ":3128");
    assert.deepEqual([status, stdout], [2, ""]);
    const advice =
      /^error: --listen :3128: everybody .*\n +--clients .*\n +--auth .*\n.*--listen 127\.0\.0\.1:3128\n?$/;
    assert.match(stderr, advice);
    for (const flags of [{ hosts: "a.example" }, { networks: "10.0.0.0/8", ports: "80" }]) {
      await assert.rejects(configOf({ listen: ":3128", ...flags }), { message: advice, status: 2 });
    }
    await configOf({ listen: ":3128", clients: "10.0.0.0/8, 192.0.2.1" });
    await configOf({ listen: ":3128", auth: ["ann:secret"] });
  });

  test("a problem has the flag's name, and shows no password", TIMEOUT, async () => {
    const wrong = { ports: "80,99999", clients: "10", networks: "x", via: "http://u:secret@", workers: "x" };
    const error = await configOf(wrong).then(
      () => assert.fail("it takes anything"),
      (error: Error) => error,
    );
    const lines = error.message.split("\n").map((line) => line.split(" ")[1]);
    assert.deepEqual(lines.sort(), ["--clients:", "--networks:", "--ports:", "--via:", "--workers:"]);
    assert.doesNotMatch(error.message, /secret/);
    await assert.rejects(configOf({ hosts: "*" }), { message: /^error: --hosts: .*: for every host leave hosts out$/ });
    for (const [flags, message] of [
      [{ auth: ["secret"] }, "--auth: no colon in it: expected USER:PASSWORD or USER:HASH"],
      [{ auth: ["ann:"] }, "--auth: the password is empty"],
      [{ auth: ["ann:a", "ann:b"] }, "--auth: the same user comes twice"],
      [{ ca: "x" }, "--ca is the authority of --intercept HOSTS"],
    ] as const) {
      await assert.rejects(configOf(flags), { message: `error: ${message}`, status: 2 });
    }
    for (const [input, message] of [
      ["ann:a\n\nsecret\n", "--auth -: line 3: no colon in it: expected USER:PASSWORD or USER:HASH"],
      ["# people\nann:a\nann:secret\n", "--auth -: line 3: the same user comes twice"],
      [
        "ann:$apr1$secret\n",
        "--auth -: line 1: apr1 (MD5) is not safe any more: make the hash anew with `headgate user` or `htpasswd -B`",
      ],
    ] as const) {
      assert.equal(withInput(input, "forward", "--auth", "-").stderr, `error: ${message}\n`);
    }
    const empty = withInput("\n", "forward", "--auth", "-");
    assert.match(empty.stderr, /^error: --auth -: standard input is empty/);
  });
});

test("what it says once it listens: who may log in and from where; nothing to paste for a unix socket", async () => {
  const at = (family: 0 | 4 | 6, address: string, port: number): Listening =>
    ({ server: "proxy", address: { family, address, port }, isTls: false }) as Listening;
  const auth = ["ci:secret", "ann:secret"];
  for (const [listen, place, clients, first] of [
    ["127.0.0.1:3128", at(4, "127.0.0.1", 3128), undefined, "whoever logs in as ci or ann, from this machine"],
    [":3128", at(6, "::", 3128), undefined, "whoever logs in as ci or ann, from anywhere"],
    [":3128", at(6, "::", 3128), "10.0.0.0/8", "whoever logs in as ci or ann, from 10.0.0.0/8"],
    ["unix:/run/p.sock", at(0, "/run/p.sock", 0), undefined, "whoever logs in as ci or ann, from this machine"],
  ] as const) {
    const { config } = await configOf({ listen, auth, ...(clients !== undefined && { clients }) });
    const hints = forwardHints(config.servers[0]!, [place]);
    assert.equal(hints[0], `it serves ${first}`);
    assert.equal(
      hints.some((hint) => hint.includes("http://")),
      !listen.startsWith("unix:"),
      listen,
    );
  }
});

test("--cache keeps answers in a folder, --size says how much; both say what is wrong with them", async () => {
  const { config } = await configOf({ cache: "/var/cache/x", size: "50GiB" });
  const [cache] = config.caches;
  assert.deepEqual([cache?.directory, cache?.bytesMax], ["/var/cache/x", 50 * 2 ** 30]);
  assert.deepEqual(
    config.servers[0]!.forward!.use.map((use) => use.feature === "cache" && use.cache),
    ["default"],
  );
  const listening: Listening = {
    server: "proxy",
    address: { family: 4, address: "127.0.0.1", port: 3128 },
    isOfBothFamilies: false,
    isTls: false,
    protocol: "http",
  };
  assert.equal(
    forwardHints(config.servers[0]!, [listening], config.caches).at(-3),
    "answers are kept in /var/cache/x, up to 50.0 GiB; of HTTPS nothing, which only --intercept opens (headgate cache stats)",
  );
  await assert.rejects(configOf({ size: "1GiB" }), /--size is that of --cache DIR/);
  await assert.rejects(configOf({ cache: "/var/cache/x", size: "50 GB" }), {
    message: 'error: --size: expected a size such as 64KiB, got "50 GB"; did you mean "50GiB"?',
  });
});

test("--intercept opens what tunnels may go to, and says on which ports", async () => {
  const listening = { server: "proxy", address: { family: 4, address: "127.0.0.1", port: 3128 }, isTls: false };
  for (const [connectPorts, ports] of [
    [undefined, "443"],
    ["443,8000-8999", "443 or 8000-8999"],
  ] as const) {
    const flags = { intercept: "a.example", ca: "/etc/ca", ...(connectPorts !== undefined && { connectPorts }) };
    const { config } = await configOf(flags);
    const line = `it opens the HTTPS of a.example on port ${ports}; clients have to trust its CA: headgate ca show --dir /etc/ca`;
    assert.ok(forwardHints(config.servers[0]!, [listening as Listening]).includes(line), line);
  }
  await assert.rejects(configOf({ intercept: "a.example", connectPorts: "x" }), (error: Error) => {
    assert.deepEqual(error.message.match(/--[\w-]+:/g), ["--connect-ports:"]);
    return true;
  });
});

test("--auth takes hashes for what they are, and warns of a password that everybody can read", TIMEOUT, async () => {
  const hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$MDEyMzQ1Njc4OWFiY2RlZg";
  const bcrypt = `$2y$04$${"a".repeat(21)}e${"b".repeat(31)}`;
  const { config, warnings } = await configOf({ auth: [`ci:${hash}`, `ann:${bcrypt}`] });
  const { users = {} } = config.servers[0]!.forward!.auth!;
  assert.deepEqual([users.ci?.text, users.ann?.text, warnings], [hash, bcrypt, []]);
  const shown = await configOf({ auth: ["ci:secret"], via: "http://127.0.0.1:1,http://u:secret@127.0.0.1:2" });
  assert.deepEqual(shown.warnings.map((line) => line.split(":")[0]).sort(), ["--auth", "--via"]);
  for (const line of shown.warnings) assert.match(line, /^[^;]*everybody on this machine \(ps\)(?!.*secret)/);
});

test("headgate user makes a line that a file of users takes", TIMEOUT, () => {
  const { status, stdout } = withInput("open sesame\n", "user", "ann");
  assert.equal(status, 0);
  assert.match(stdout, /^ann:\$argon2id\$v=19\$m=19456,t=2,p=1\$\S+\n$/);
  const tooMany = withInput("one\ntwo\n", "user", "ann");
  assert.deepEqual(
    [tooMany.status, tooMany.stdout, tooMany.stderr],
    [2, "", "error: the password on standard input is more than one line\n"],
  );
  const refused = withInput("secret", "user", "ann:b");
  assert.deepEqual(refused, { status: 2, stdout: "", stderr: "error: a name has no colon\n" });
});
