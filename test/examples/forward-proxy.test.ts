// The proxy of examples/forward-proxy: who gets where, and what the log says of it.

import assert from "node:assert/strict";
import { copyFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { TestFolder } from "../support/folder.ts";
import { connectThrough } from "../support/forward-stage.ts";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };

const basic = (login: string) => `Proxy-Authorization: Basic ${Buffer.from(login).toString("base64")}\r\n`;
const CI = basic("ci:open sesame");
const ANN = basic("ann:daylight");

describe("the proxy of a build farm", () => {
  const folder = new TestFolder();
  let artifacts: Origin;
  let proxy: Program;
  let port: number;

  before(async () => {
    artifacts = await Origin.start((_request, response) => response.end("an artifact"));
    port = await freePort();
    copyFileSync(path.join(repositoryRoot, "examples/forward-proxy/headgate.yaml"), folder.file("headgate.yaml"));
    const users = [`ci:${await hash("open sesame", 4)}`, `ann:${await hash("daylight", 4)}`];
    writeFileSync(folder.file("users"), `${users.join("\n")}\n`);
    proxy = Program.headgate(["run", "--config", folder.file("headgate.yaml")], {
      env: { FORWARD_PORT: String(port), ARTIFACTS_PORT: String(artifacts.port) },
    });
    await proxy.until(/egress on http:/);
  });

  after(async () => {
    const status = await proxy?.stop();
    await artifacts?.[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    assert.equal(status, 0, proxy?.output);
  });

  async function ask(start: string, host: string, lines = ""): Promise<{ status: number; body: string }> {
    using client = await RawClient.connect(port);
    return await client.send(`${start} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`).answer();
  }

  async function tunnel(authority: string, lines = ""): Promise<number> {
    const { client, status } = await connectThrough(port, authority, lines);
    client[Symbol.dispose]();
    return status;
  }

  test(
    "everybody gets the artifacts, by request and by tunnel, and nothing else of this machine",
    TIMEOUT,
    async () => {
      const authority = `127.0.0.1:${artifacts.port}`;
      assert.deepEqual((await ask(`GET http://${authority}/`, authority)).body, "an artifact");
      assert.equal(await tunnel(authority), 200);
      assert.equal(await tunnel(`127.0.0.1:${port}`), 403);
      await proxy.until(new RegExp(` - GET ${authority} 200 rule=artifacts `));
    },
  );

  test("a registry asks for a password; the build's opens its own hosts and no others", TIMEOUT, async () => {
    assert.equal(await tunnel("registry.example.org:443"), 407);
    assert.equal(await tunnel("registry.example.org:443", basic("ci:wrong")), 407);
    assert.equal(await tunnel("other.example.org:443", CI), 403);
    assert.equal(await tunnel("registry.example.org:22", CI), 403);
    assert.equal((await ask("GET http://www.ads.example/", "www.ads.example", ANN)).status, 403);
    assert.equal(
      (await ask("POST http://a.share.example/", "a.share.example", `${ANN}Content-Length: 0\r\n`)).status,
      403,
    );
    await proxy.until(/ ann GET www\.ads\.example:80 403 rule=ads /);
    await proxy.until(/ ann POST a\.share\.example:80 403 rule=uploads /);
    await proxy.until(/ ci CONNECT other\.example\.org:443 403 rule=- .*nothing_allows/);
  });

  test("in origin form there are its own pages", TIMEOUT, async () => {
    assert.match((await ask("GET /", "proxy.example:3128")).body, /^The proxy of the build farm\./);
    assert.match((await ask("GET /proxy.pac", "proxy.example:3128")).body, /"PROXY proxy\.example:3128"/);
    assert.equal((await ask("GET /other", "proxy.example:3128")).status, 404);
  });
});
