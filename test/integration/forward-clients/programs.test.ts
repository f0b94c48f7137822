// Programs that read http_proxy and https_proxy: Python's urllib, and Node's own fetch.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { runClient } from "../../support/forward-clients/client-program.ts";
import { ForwardClientsStage } from "../../support/forward-clients/stage.ts";
import { findCommand, needs } from "../../support/requirements.ts";

const TIMEOUT = { timeout: 60_000 };

/** A proxy that asks for a password, and the environment that has it. */
async function start() {
  const auth = { basic: { users: { ci: await hash("a b@c", 4) } } };
  const stage = await ForwardClientsStage.start(
    (request, response) => response.end(`${request.url} via ${request.headers.via?.split(" ")[0]}`),
    { forward: { auth } },
  );
  const named = stage.proxyUrl.replace("://", `://ci:${encodeURIComponent("a b@c")}@`);
  return { stage, env: { http_proxy: named, https_proxy: named } };
}

async function assertBothWays(stage: ForwardClientsStage, stdout: string): Promise<void> {
  assert.equal(stdout.replaceAll("\r", ""), "/plain via 1.1\n/secure via undefined\n");
  const lines = (await stage.logged()).filter(({ status }) => status === 200);
  assert.deepEqual(lines.map(({ user, method }) => `${user} ${method}`).sort(), ["ci CONNECT", "ci GET"]);
}

const PYTHON = `
import ssl, sys, urllib.request
for url in sys.argv[2:]:
    context = ssl.create_default_context(cafile=sys.argv[1])
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    print(opener.open(url, timeout=20).read().decode())
`;

describe("Python's urllib", { skip: needs("python3") }, () => {
  test("over http and over https, with a password", TIMEOUT, async () => {
    const { stage, env } = await start();
    await using _ = stage;
    const args = ["-c", PYTHON, stage.ca, stage.httpUrl("/plain"), stage.httpsUrl("/secure")];
    const { status, stdout, stderr } = await runClient(findCommand("python3")!, args, { home: stage.folder.path, env });
    assert.equal(status, 0, stderr);
    await assertBothWays(stage, stdout);
  });
});

const FETCH = "for (const url of process.argv.slice(1)) console.log(await (await fetch(url)).text());";

const [major = 0] = process.versions.node.split(".").map(Number);

describe("Node's fetch", { skip: major < 24 && "needs Node 24, whose fetch reads NODE_USE_ENV_PROXY" }, () => {
  test("over http and over https, with a password", TIMEOUT, async () => {
    const { stage, env } = await start();
    await using _ = stage;
    const args = ["--input-type=module", "-e", FETCH, stage.httpUrl("/plain"), stage.httpsUrl("/secure")];
    const own = { ...env, NODE_USE_ENV_PROXY: "1", NODE_EXTRA_CA_CERTS: stage.ca };
    const { status, stdout, stderr } = await runClient(process.execPath, args, { home: stage.folder.path, env: own });
    assert.equal(status, 0, stderr);
    await assertBothWays(stage, stdout);
  });
});
