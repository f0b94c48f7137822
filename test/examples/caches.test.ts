// The caches of examples/nginx-recipe and examples/forward-cache, in front of origins of the test.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import https from "node:https";
import path from "node:path";
import { describe, test } from "node:test";
import tls from "node:tls";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { connectThrough } from "../support/forward-stage.ts";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { Program, repositoryRoot } from "../support/program.ts";
import { type RawAnswer, RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };

async function ask(port: number, url: string): Promise<RawAnswer> {
  using client = await RawClient.connect(port);
  return await client.send(`GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n\r\n`).answer();
}

function copyExample(name: string, folder: TestFolder): string {
  const file = folder.file("headgate.yaml");
  copyFileSync(path.join(repositoryRoot, "examples", name, "headgate.yaml"), file);
  return file;
}

const status = (answer: RawAnswer): string => String(answer.fields.get("cache-status")).replace(/; ttl=\d+/, "");

describe("the recipe of nginx", () => {
  test("keeps what the origin would not have kept, and gives it when the origin is away", TIMEOUT, async () => {
    using folder = new TestFolder();
    let isBroken = false;
    await using origin = await Origin.start((request, response) => {
      if (isBroken) return void request.socket.destroy();
      const { url = "" } = request;
      const code = url === "/moved" ? 301 : url === "/none" ? 404 : 200;
      response.writeHead(code, {
        "cache-control": "no-store, private",
        expires: "0",
        vary: "*",
        "set-cookie": "user=ann",
        ...(code === 301 && { location: "/elsewhere" }),
      });
      response.end(url);
    });
    const port = await freePort();
    const file = copyExample("nginx-recipe", folder);
    await using proxy = Program.headgate(["run", "--config", file], {
      env: { RECIPE_PORT: String(port), ORIGIN_PORT: String(origin.port), RECIPE_CACHE: folder.file("cache") },
    });
    await proxy.until(/egress on http:/);
    const week = 7 * 86_400;
    for (const [target, ttl] of [
      ["/file", week],
      ["/moved", week],
      ["/none", 60],
    ] as const) {
      const first = await ask(port, `${origin.url}${target}`);
      assert.match(status(first), /^headgate; fwd=miss; fwd-status=\d+; stored$/);
      const left = Number(/ttl=(\d+)/.exec(first.fields.get("cache-status")!)![1]);
      assert.ok(left <= ttl && left > ttl - 30, `${target}: ${left}`);
    }
    isBroken = true;
    for (const target of ["/file", "/moved", "/none"]) {
      const { body, fields } = await ask(port, `${origin.url}${target}`);
      assert.equal(body, target);
      // Of the download, as long as the disk has not taken it.
      assert.match(fields.get("cache-status")!, /^headgate; (hit|fwd=miss; collapsed); ttl=/);
      assert.equal(fields.get("set-cookie"), undefined, "nobody gets another one's cookie");
    }
    assert.equal((await ask(port, `${origin.url}/other`)).status, 502);
    assert.equal(origin.asked.filter(({ url }) => url !== "/other").length, 3);
    await proxy.until(/GET http:\/\/127\.0\.0\.1:\d+\/file 200 headgate; (hit|fwd=miss; collapsed)/);
    assert.equal(await proxy.stop(), 0, proxy.output);
  });
});

describe("the download cache of a build farm", () => {
  test("fetches a package once, over HTTPS too", TIMEOUT, async () => {
    using folder = new TestFolder();
    const authority = new Authority("The World");
    const { cert, key } = issueCertificate({ names: ["localhost"], issuer: authority });
    await using origin = await Origin.start((request, response) => response.end(`package ${request.url}`), {
      tls: { cert, key },
    });
    const made = spawnSync(
      process.execPath,
      [path.join(repositoryRoot, "src/cli/main.ts"), "ca", "init", "--dir", folder.file("ca")],
      { encoding: "utf8" },
    );
    assert.equal(made.status, 0, made.stderr);
    const port = await freePort();
    const file = copyExample("forward-cache", folder);
    await using proxy = Program.headgate(["run", "--config", file], {
      env: {
        FARM_PORT: String(port),
        ORIGIN_PORT: String(origin.port),
        FARM_CACHE: folder.file("cache"),
        FARM_CA: folder.file("ca"),
        FARM_ORIGINS_CA: folder.write("world.pem", authority.cert),
        CACHE_DIRECTORY: folder.file("leaves"),
      },
    });
    await proxy.until(/farm on http:/);

    /** As npm and pip do: a tunnel, and TLS inside. */
    async function download(target: string): Promise<{ readonly body: string; readonly status: string }> {
      const { client, status } = await connectThrough(port, `localhost:${origin.port}`);
      assert.equal(status, 200);
      const socket = tls.connect({ socket: client.socket, servername: "localhost", rejectUnauthorized: false });
      const request = https.get({
        createConnection: () => socket,
        path: target,
        headers: { host: `localhost:${origin.port}` },
      });
      const { promise, resolve, reject } = Promise.withResolvers<{ body: string; status: string }>();
      request.on("error", reject).on("response", async (response) => {
        const body = String(await response.setEncoding("utf8").toArray());
        resolve({ body, status: String(response.headers["cache-status"]) });
      });
      const got = await promise;
      client[Symbol.dispose]();
      return got;
    }

    const target = "/debian/pool/main/c/curl/curl_8_amd64.deb";
    const first = await download(target);
    assert.equal(first.body, `package ${target}`);
    assert.match(first.status, /^headgate; fwd=miss; fwd-status=200; stored; ttl=51\d{5}$/);
    const second = await download(target);
    assert.equal(second.body, first.body);
    assert.match(second.status, /^headgate; (hit|fwd=miss; collapsed); ttl=51\d{5}$/);
    assert.equal(origin.asked.length, 1);
    assert.equal(await proxy.stop(), 0, proxy.output);
  });
});
