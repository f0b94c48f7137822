// basicAuth and apiKey from files, with real hashes: what is let in, what happens when the files change, and what a file that
// cannot be used does.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { headgate } from "../cli/headgate.ts";
import { curl } from "../support/curl.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { needs } from "../support/requirements.ts";

const TIMEOUT = { timeout: 30_000 };
const CHANGED = "files that have changed were read again";

/** As cheap as they may be, of "wonderland", "b\u00fcilder:1" and "looking-glass". */
const users = {
  alice: "$2y$04$MJ0GIAvkD3uk8pe2inXgauT7XAvqN6cakjH6R8z7yNlOYdE/ex2CK",
  bob: "$argon2id$v=19$m=64,t=1,p=1$BMTUpqWYglOalfYep9SIJg$ovQXI8wdX0q8Twokj2Jf2qzRy1r++NmjkUZkfRf264o",
  renewed: "$2b$04$wkVyOHHJplR4TzBriP3zX.2lesLbz.EczzTvaZ3uLCdMPrRmla1wm",
};

const guarded = (feature: Readonly<Record<string, unknown>>, origin: Origin) => ({
  servers: { web: { listen: "127.0.0.1:0", use: [feature], proxy: origin.url } },
});

function startOrigin(): Promise<Origin> {
  return Origin.start((request, response) =>
    response.end(`${request.headers["x-user"]} ${request.headers.authorization}`),
  );
}

async function login(port: number, user: string, password: string): Promise<string> {
  using client = await RawClient.connect(port);
  const credentials = Buffer.from(`${user}:${password}`).toString("base64");
  const answer = await client.send(`GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic ${credentials}\r\n\r\n`).answer();
  return `${answer.status} ${answer.status === 200 ? answer.body : (answer.fields.get("www-authenticate") ?? "")}`;
}

describe("a file of users", TIMEOUT, () => {
  test("is what htpasswd writes: curl logs in with it", { skip: needs("curl") }, async () => {
    using folder = new TestFolder();
    await using origin = await startOrigin();
    const file = folder.write("users", `# staff\nalice:${users.alice}\r\nbob:${users.bob}\n`);
    await using proxy = await ProxyUnderTest.start(guarded({ basicAuth: { file, userHeader: "x-user" } }, origin));
    const url = `http://127.0.0.1:${proxy.port("web")}/`;
    for (const [credentials, expected] of [
      ["alice:wonderland", "alice undefined 200"],
      ["bob:b\u00fcilder:1", "bob undefined 200"],
      ["alice:builder", "401"],
      ["carol:wonderland", "401"],
    ] as const) {
      const { output } = await curl(["--user", credentials, "--write-out", " %{http_code}", url]);
      assert.ok(output.endsWith(expected), `${credentials}: ${output}`);
    }
    const { log } = await curl(["--verbose", url]);
    assert.match(log, /^< WWW-Authenticate: Basic realm="restricted", charset="UTF-8"\r?$/m);
  });

  test("is read again when it changes: a new password counts at once, and so does a user who is gone", async () => {
    using folder = new TestFolder();
    await using origin = await startOrigin();
    const file = folder.write("users", `alice:${users.alice}\nbob:${users.bob}\n`);
    await using proxy = await ProxyUnderTest.start(guarded({ basicAuth: { file } }, origin));
    const port = proxy.port("web");
    assert.match(await login(port, "alice", "wonderland"), /^200/);
    assert.match(await login(port, "bob", "b\u00fcilder:1"), /^200/);
    folder.write("users", `alice:${users.renewed}\n`);
    await proxy.untilLogged(CHANGED);
    assert.match(await login(port, "alice", "wonderland"), /^401 Basic/);
    assert.match(await login(port, "alice", "looking-glass"), /^200/);
    assert.match(await login(port, "bob", "b\u00fcilder:1"), /^401 Basic/);
  });

  test("that cannot be used leaves the users of before, and says which line is to blame", async () => {
    using folder = new TestFolder();
    await using origin = await startOrigin();
    const file = folder.write("users", `alice:${users.alice}\n`);
    await using proxy = await ProxyUnderTest.start(guarded({ basicAuth: { file } }, origin));
    folder.write("users", `alice:${users.alice}\nbob:$apr1$FOz3XH9Q$cR8MsS9uYHlbUK0ec3fJK/\n`);
    const { msg } = await proxy.untilLogged("what they held before stays");
    assert.match(
      msg,
      /users: line 2: apr1 \(MD5\) is not safe any more: make the hash anew with `headgate user` or `htpasswd -B`$/,
    );
    assert.match(await login(proxy.port("web"), "alice", "wonderland"), /^200/);
  });

  test("that cannot be used stops a start, and `check` points at the field", () => {
    using folder = new TestFolder();
    folder.write("users", "alice:secret-password\n");
    folder.write(
      "headgate.yaml",
      "servers:\n  web:\n    listen: ':80'\n    use:\n      - basicAuth: { file: users }\n    respond: 204\n",
    );
    const { status, stderr } = headgate(folder.path, "check");
    assert.equal(status, 1);
    assert.match(
      stderr,
      /^headgate\.yaml:5:28: servers\.web\.use\[0\]\.basicAuth\.file: .*\/users: line 1: this is no hash/,
    );
    assert.ok(!stderr.includes("secret-password"));
    folder.write("headgate.yaml", folder.read("headgate.yaml").replace("file: users", "file: nobody"));
    assert.match(headgate(folder.path, "check").stderr, /\/nobody: cannot be read: there is no such file\n$/);
  });

  test("is not opened by who only asks what would happen", () => {
    using folder = new TestFolder();
    folder.write(
      "headgate.yaml",
      "servers:\n  web:\n    listen: ':80'\n    use:\n      - basicAuth: { file: nobody }\n    respond: 204\n",
    );
    const { status, stdout } = headgate(folder.path, "explain", "GET", "/");
    assert.equal(status, 0);
    assert.match(stdout, /basicAuth .*\/nobody/);
  });
});

describe("a key of `headgate api-key`", TIMEOUT, () => {
  test("opens what its line stands for, until the line is gone", async () => {
    using folder = new TestFolder();
    const [ci, other] = ["ci", "other one"].map((name) => headgate(folder.path, "api-key", name));
    const keyOf = (text: string) => /^ {2}(hgk_[A-Za-z0-9_-]{43})$/m.exec(text)?.[1] ?? "";
    assert.match(ci!.stdout, /^ci:[0-9a-f]{64}\n$/);
    assert.match(other!.stdout, /^other one:[0-9a-f]{64}\n$/);
    assert.notEqual(keyOf(ci!.stderr), keyOf(other!.stderr));
    const file = folder.write("keys", ci!.stdout + other!.stdout);
    await using origin = await startOrigin();
    await using proxy = await ProxyUnderTest.start(guarded({ apiKey: { file, nameHeader: "x-user" } }, origin));
    const ask = async (key: string) => {
      using client = await RawClient.connect(proxy.port("web"));
      const { status, body } = await client.send(`GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: ${key}\r\n\r\n`).answer();
      return status === 200 ? body : status;
    };
    assert.equal(await ask(keyOf(ci!.stderr)), "ci undefined");
    assert.equal(await ask(keyOf(other!.stderr)), "other one undefined");
    assert.equal(await ask(keyOf(ci!.stderr).slice(0, -1)), 401);
    folder.write("keys", other!.stdout);
    await proxy.untilLogged(CHANGED);
    assert.equal(await ask(keyOf(ci!.stderr)), 401);
    assert.equal(await ask(keyOf(other!.stderr)), "other one undefined");
  });

  test("needs a name that a line can hold", () => {
    using folder = new TestFolder();
    for (const name of ["a:b", "", " a", "#a", "a\nb"]) {
      const { status, stdout, stderr } = headgate(folder.path, "api-key", name);
      assert.deepEqual([status, stdout], [2, ""], name);
      assert.ok(!stderr.includes("hgk_"));
    }
  });
});
