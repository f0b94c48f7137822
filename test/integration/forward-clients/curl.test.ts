// curl through the forward proxy, in every way in which it uses one.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { runClient } from "../../support/forward-clients/client-program.ts";
import { ForwardClientsStage } from "../../support/forward-clients/stage.ts";
import { needs } from "../../support/requirements.ts";

const TIMEOUT = { timeout: 60_000 };
const MiB = 1024 * 1024;
const upload = randomBytes(4 * MiB);

type Env = Readonly<Record<string, string>>;

/** What curl prints: the body, and on a line of its own the statuses of the answer and of the proxy to CONNECT. */
async function curl(
  stage: ForwardClientsStage,
  args: readonly string[],
  env: Env = {},
  input: Uint8Array | string = "",
) {
  const base = [
    "--silent",
    "--show-error",
    "--max-time",
    "20",
    "--cacert",
    stage.ca,
    "-w",
    "\n%{http_code} %{http_connect}",
  ];
  const { status, stdout, stderr } = await runClient("curl", [...base, ...args], {
    home: stage.folder.path,
    env,
    input,
  });
  return { status, stdout, stderr, last: stdout.split("\n").at(-1) };
}

const start = (forward = {}) =>
  ForwardClientsStage.start(
    async (request, response) => {
      let bytes = 0;
      for await (const chunk of request) bytes += (chunk as Buffer).length;
      const { via = "none", host = "none" } = request.headers;
      response.end(`${request.method} ${request.url} ${host} ${bytes} via ${via.split(" ")[0]}\n`);
    },
    { forward },
  );

describe("curl", { skip: needs("curl") }, () => {
  test(
    "-x: http in absolute form, https by CONNECT, HTTP/1.0, uploads, several on one connection",
    TIMEOUT,
    async () => {
      await using stage = await start();
      const x = ["-x", stage.proxyUrl];
      const plain = await curl(stage, [...x, stage.httpUrl("/a?b")]);
      assert.equal(plain.stdout, `GET /a?b origin.example:${stage.http.port} 0 via 1.1\n\n200 000`, plain.stderr);
      const secure = await curl(stage, [...x, stage.httpsUrl("/a?b")]);
      assert.equal(secure.stdout, `GET /a?b origin.example:${stage.https.port} 0 via none\n\n200 200`, secure.stderr);
      const old = await curl(stage, [...x, "-0", stage.httpUrl("/old"), stage.httpUrl("/old")]);
      assert.match(old.stdout, /^GET \/old \S+ 0 via 1\.0\n/, old.stderr);
      for (const url of [stage.httpUrl("/up"), stage.httpsUrl("/up")]) {
        const sent = await curl(stage, [...x, "-T", "-", url], {}, upload);
        assert.match(sent.stdout, new RegExp(`^PUT /up \\S+ ${upload.length} `), sent.stderr);
      }
      const twice = await curl(stage, [...x, "-v", stage.httpUrl("/1"), stage.httpUrl("/2")]);
      assert.match(twice.stderr, /Re-using existing/i);
      const lines = await stage.logged();
      assert.ok(lines.length >= 8);
      for (const { rule, upstreamAddress } of lines) {
        assert.equal(rule, "local");
        assert.match(String(upstreamAddress), /^127\.0\.0\.1:\d+$/);
      }
      assert.equal(lines[1]!.destination, `origin.example:${stage.https.port}`);
      assert.equal(lines[1]!.method, "CONNECT");
    },
  );

  test("by the variables of the environment; no_proxy leaves it out", TIMEOUT, async () => {
    await using stage = await start();
    for (const url of [stage.httpUrl("/"), stage.httpsUrl("/")]) {
      const { status, stderr } = await curl(stage, [url], stage.environment);
      assert.equal(status, 0, stderr);
      const without = await curl(stage, [url], { ...stage.environment, no_proxy: "origin.example" });
      assert.equal(without.status, 6, "the name is not known here");
    }
  });

  test("--proxy-user: with the right password, and 407 without it", TIMEOUT, async () => {
    const auth = { basic: { users: { "build farm": await hash("pass word", 4) } } };
    await using stage = await start({ auth });
    const x = ["-x", stage.proxyUrl];
    for (const [url, last] of [
      [stage.httpUrl("/"), "200 000"],
      [stage.httpsUrl("/"), "200 200"],
    ] as const) {
      const right = await curl(stage, [...x, "-U", "build farm:pass word", url]);
      assert.deepEqual([right.status, right.last], [0, last], right.stderr);
      for (const wrong of [[], ["-U", "build farm:password"], ["-U", "nobody:pass word"]]) {
        const refused = await curl(stage, [...x, ...wrong, url]);
        // curl takes 407 to a GET for an answer, and to CONNECT for a failure.
        assert.deepEqual([refused.status, refused.last], url.startsWith("https") ? [56, "000 407"] : [0, "407 000"]);
      }
    }
    const named = new URL(stage.proxyUrl);
    [named.username, named.password] = ["build farm", "pass word"];
    const inUrl = await curl(stage, [stage.httpsUrl("/")], { https_proxy: named.href });
    assert.equal(inUrl.last, "200 200", inUrl.stderr);
    const lines = await stage.logged();
    assert.equal(lines[0]!.user, "build farm");
    assert.equal(lines[1]!.user, undefined);
    assert.equal((lines[1]!.error as { reason: string }).reason, "credentials_missing");
  });

  test("https:// proxy: TLS to the proxy, and TLS to the origin within", TIMEOUT, async () => {
    await using stage = await start();
    for (const [url, last] of [
      [stage.httpUrl("/"), "200 000"],
      [stage.httpsUrl("/"), "200 200"],
    ] as const) {
      const args = ["-x", stage.secureProxyUrl, "--proxy-cacert", stage.ca];
      const got = await curl(stage, [...args, url]);
      assert.deepEqual([got.status, got.last], [0, last], got.stderr);
    }
    const untrusted = await curl(stage, ["-x", stage.secureProxyUrl, stage.httpUrl("/"), "--proxy-capath", "/nowhere"]);
    assert.notEqual(untrusted.status, 0);
  });

  test("what the rules refuse: 403, and for names that lead to this machine too", TIMEOUT, async () => {
    await using stage = await start({ allow: [{ ports: "1-65535", connectPorts: "1-65535" }] });
    const x = ["-x", stage.proxyUrl];
    assert.equal((await curl(stage, [...x, stage.httpUrl("/")])).last, "403 000");
    assert.deepEqual(await curl(stage, [...x, stage.httpsUrl("/")]).then(({ status, last }) => [status, last]), [
      56,
      "000 403",
    ]);
    const [line] = await stage.logged();
    assert.equal((line!.error as { reason: string }).reason, "private_destination");
    assert.equal(stage.http.accepted + stage.https.accepted, 0);
  });
});
