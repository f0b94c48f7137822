// `headgate session`: what is put is exactly what a login writes, nothing secret is shown or kept in a message, and a mistake is
// one line.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { Folder, headgate, type Outcome } from "../cli/headgate.ts";
import { freePort } from "../support/free-port.ts";
import { RedisServer } from "../support/redis.ts";
import { needs } from "../support/requirements.ts";

const KEY = randomBytes(32);
const SECRET = "alice:hunter2 correct";

/** A folder with a key and a configuration whose one store is an LMDB. */
function stage(): Folder {
  const folder = new Folder();
  folder.file("key", `${KEY.toString("hex")}\n`);
  folder.file("other-key", randomBytes(32).toString("base64"));
  folder.file("headgate.yaml", "stores: { logins: lmdb:sessions }\nservers: { web: { listen: ':0', respond: 204 } }\n");
  return folder;
}

const put = (folder: Folder, key: string, ...args: readonly string[]): Outcome =>
  headgate(folder.path, "session", "put", key, "--encrypt-key", "key", ...args);
const session = (folder: Folder, ...args: readonly string[]): Outcome => headgate(folder.path, "session", ...args);

function failed(outcome: Outcome, message: string | RegExp, status = 1): void {
  assert.equal(outcome.stdout, "");
  if (typeof message === "string") assert.equal(outcome.stderr, `${message}\n`);
  else assert.match(outcome.stderr, message);
  assert.equal(outcome.stderr.trimEnd().split("\n").length, 1, outcome.stderr);
  assert.equal(outcome.status, status);
}

/** Opens the envelope by what the documentation says of its bytes. */
function decrypted(envelope: string, key: string): string {
  const bytes = Buffer.from(envelope, "base64url");
  assert.equal(bytes[0], 1);
  assert.deepEqual(bytes.subarray(1, 5), createHmac("sha256", KEY).update("headgate key id").digest().subarray(0, 4));
  const decipher = createDecipheriv("aes-256-gcm", KEY, bytes.subarray(5, 17));
  decipher.setAAD(Buffer.from(key)).setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(17, -16)), decipher.final()]).toString();
}

describe("in an LMDB that the configuration names", () => {
  test("put, get, list, delete", () => {
    using folder = stage();
    const outcome = put(folder, "sess:1", "--basic", SECRET, "--ttl", "8h");
    assert.deepEqual(outcome, { status: 0, stdout: "put sess:1, for 8h\n", stderr: "" });
    assert.equal(
      put(folder, "sess:2", "--store", "logins", "--bearer", "token==").stdout,
      "put sess:2, until it is deleted\n",
    );

    const shown = session(folder, "get", "sess:1");
    assert.equal(shown.status, 0);
    assert.match(
      shown.stdout,
      /^key {10}sess:1\nleft {9}(8h|7h 59m)\nvalue {8}a session record of version 1, encrypted with the key [0-9a-f]{8}\n$/,
    );
    const open = session(folder, "get", "sess:1", "--decrypt-key", "key");
    assert.equal(
      open.stdout,
      `${shown.stdout.replace(/left.*/, /left.*/.exec(open.stdout)![0])}credentials  ${SECRET}\n`,
    );
    failed(
      session(folder, "get", "sess:1", "--decrypt-key", "other-key"),
      "the credentials cannot be decrypted with the key, or are those of another session",
    );
    const both = session(folder, "get", "sess:1", "--decrypt-key", "other-key", "--decrypt-key", "key");
    assert.match(both.stdout, /hunter2/);

    const listed = session(folder, "list").stdout.trimEnd().split("\n").sort();
    assert.match(listed[0]!, /^sess:1\t(8h|7h 59m)$/);
    assert.equal(listed[1], "sess:2\tno end");
    assert.equal(session(folder, "list", "sess:2").stdout, "sess:2\tno end\n");

    assert.equal(session(folder, "delete", "sess:1").stdout, "deleted sess:1\n");
    failed(session(folder, "get", "sess:1"), "no session has the key sess:1");
    failed(session(folder, "delete", "sess:1"), "no session has the key sess:1");
    assert.equal(session(folder, "list").stdout, "sess:2\tno end\n");
  });

  test("what is only looked at is not made", () => {
    using folder = stage();
    failed(session(folder, "get", "k"), "no session has the key k");
    failed(session(folder, "delete", "k"), "no session has the key k");
    assert.deepEqual(session(folder, "list"), { status: 0, stdout: "", stderr: "" });
    assert.equal(existsSync(path.join(folder.path, "sessions")), false);
  });

  test("secrets come from standard input", () => {
    using folder = stage();
    const main = path.join(import.meta.dirname, "../../src/cli/main.ts");
    const args = ["session", "put", "k", "--encrypt-key", "key", "--basic", "-"];
    const { status, stderr } = spawnSync(process.execPath, [main, ...args], {
      cwd: folder.path,
      input: "bob:pass word\n",
      encoding: "utf8",
    });
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(session(folder, "get", "k", "--decrypt-key", "key").stdout, /credentials {2}bob:pass word\n$/);
  });
});

test("on a Redis that a URL names: exactly the record, and its time", { skip: needs("redis-server") }, async () => {
  await using server = await RedisServer.start({ args: ["--requirepass", "pass-word"] });
  using folder = stage();
  const store = `redis://:pass-word@127.0.0.1:${server.port}/1`;
  assert.equal(put(folder, "sess:1", "--store", store, "--basic", SECRET, "--ttl", "8h").status, 0);
  const client = await server.client(store);
  const text = (await client.sendCommand(["GET", "sess:1"])) as unknown as string;
  const record = JSON.parse(text) as { credentials: string };
  assert.equal(text, `{"v":1,"credentials":"${record.credentials}"}`);
  assert.equal(decrypted(record.credentials, "sess:1"), SECRET);
  const ttl = Number(await client.sendCommand(["PTTL", "sess:1"]));
  assert.ok(ttl > 28_700_000 && ttl <= 28_800_000, String(ttl));

  // A copy under another key opens nothing; a record of somebody else's is described without its values.
  await client.sendCommand(["SET", "sess:2", text]);
  failed(
    session(folder, "get", "sess:2", "--store", store, "--decrypt-key", "key"),
    /^the credentials cannot be decrypted/,
  );
  await client.sendCommand(["SET", "foreign", '{"user":"alice","password":"hunter2"}']);
  assert.match(
    session(folder, "get", "foreign", "--store", store).stdout,
    /value {8}JSON with user, password, no record of version 1\n$/,
  );
  await client.sendCommand(["SET", "text", "hunter2"]);
  assert.match(
    session(folder, "get", "text", "--store", store).stdout,
    /value {8}text of 7 bytes, no session record\n$/,
  );
  client.destroy();

  assert.equal(session(folder, "list", "sess:", "--store", store).stdout.split("\n").length, 3);
  assert.equal(session(folder, "delete", "sess:1", "--store", store).stdout, "deleted sess:1\n");
  const wrong = store.replace("pass-word", "wrong-word");
  failed(
    session(folder, "get", "k", "--store", wrong),
    `redis://127.0.0.1:${server.port}/1: Redis says WRONGPASS: it refuses the user name or the password`,
  );
});

describe("a mistake is one line", () => {
  const cases: readonly (readonly [
    what: string,
    args: readonly string[],
    message: string | RegExp,
    status?: number,
  ])[] = [
    ["a store that is none", ["get", "k", "--store", "login"], 'no store has the name "login"; did you mean "logins"?'],
    [
      "a URL that is none",
      ["get", "k", "--store", "redis://u:hunter2@"],
      /^--store: a URL of Redis is redis:\/\/USER:PASSWORD@HOST/,
    ],
    [
      "a port that is none",
      ["get", "k", "--store", "redis://u:hunter2@127.0.0.1:99999/1"],
      "--store: the port of a URL of Redis is a number from 1 to 65535",
    ],
    ["no credentials", ["put", "k", "--encrypt-key", "key"], "error: needs one of --basic, --bearer and --json", 2],
    ["two of them", ["put", "k", "--encrypt-key", "key", "--basic", "a:b", "--bearer", "c"], /^error: needs one of/, 2],
    ["no key", ["put", "k", "--basic", "a:b"], /required option '--encrypt-key <file>' not specified/, 2],
    [
      "a key that is not there",
      ["put", "k", "--encrypt-key", "no", "--basic", "a:b"],
      "--encrypt-key: cannot read no: there is no such file",
    ],
    [
      "a key that is none",
      ["put", "k", "--encrypt-key", "headgate.yaml", "--basic", "a:b"],
      /^--encrypt-key: headgate.yaml has no key of 256 bits/,
    ],
    [
      "a password without a user",
      ["put", "k", "--encrypt-key", "key", "--basic", "hunter2"],
      "--basic: expected USER:PASSWORD without control characters",
    ],
    [
      "a token that is none",
      ["put", "k", "--encrypt-key", "key", "--bearer", "hunter2 x"],
      "--bearer: expected a token",
    ],
    ["an object that is none", ["put", "k", "--encrypt-key", "key", "--json", "[1]"], "--json: expected an object"],
    [
      "a duration that is none",
      ["put", "k", "--encrypt-key", "key", "--basic", "a:b", "--ttl", "8"],
      '--ttl: expected a duration such as 8h, got "8"',
    ],
    [
      "a key that is too long",
      ["put", "k".repeat(600), "--encrypt-key", "key", "--basic", "a:b"],
      "a session's key is text of 1 to 512 bytes",
    ],
    [
      "an LMDB that cannot be made",
      ["put", "k", "--store", "lmdb:key/x", "--encrypt-key", "key", "--basic", "a:b"],
      /^cannot open the store .*key\/x: ENOTDIR/,
    ],
  ];
  for (const [what, args, message, status] of cases) {
    test(what, () => {
      using folder = stage();
      const outcome = session(folder, ...args);
      failed(outcome, message, status);
      assert.doesNotMatch(outcome.stderr, /hunter2/);
    });
  }

  test("a Redis that is away", async () => {
    using folder = stage();
    const url = `redis://127.0.0.1:${await freePort()}`;
    failed(
      session(folder, "list", "--store", url),
      `${url}: Redis cannot be reached: connection refused, nothing accepts connections there (ECONNREFUSED)`,
    );
  });

  test("no store, and more than one", () => {
    using folder = stage();
    folder.file("none.yaml", "servers: { web: { listen: ':0', respond: 204 } }\n");
    failed(
      session(folder, "list", "--config", "none.yaml"),
      "error: --store is needed: the configuration has no stores",
      2,
    );
    folder.file("two.yaml", "stores: { a: lmdb:a, b: lmdb:b }\nservers: { web: { listen: ':0', respond: 204 } }\n");
    failed(
      session(folder, "list", "--config", "two.yaml"),
      "error: --store is needed: the configuration has the stores a, b",
      2,
    );
  });
});
