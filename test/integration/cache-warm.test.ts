// headgate cache warm over https: a list of URLs is fetched through tunnels that the forward proxy looks into, from an origin whose
// certificate is of an authority that only the configuration names. What is asked for afterwards is there.

import assert from "node:assert/strict";
import type http from "node:http";
import { describe, test } from "node:test";
import { run } from "../admin/command-run.ts";
import { Authority, issueCertificate } from "../support/certificates.ts";
import { DnsServer } from "../support/dns-server.ts";
import { TestFolder } from "../support/folder.ts";
import { ANYWHERE } from "../support/forward-stage.ts";
import { freePort } from "../support/free-port.ts";
import { internalAuthority } from "../support/interception-stage.ts";
import { Origin } from "../support/origin.ts";
import { Program } from "../support/program.ts";

const TIMEOUT = { timeout: 120_000 };

interface WarmStage extends AsyncDisposable {
  readonly folder: TestFolder;
  readonly origin: Origin;
  /** Asks for what the list names; its name, as messages show it, is urls.txt. */
  warm(list: string, ...flags: readonly string[]): ReturnType<typeof run>;
}

const answer: http.RequestListener = ({ url }, response) => {
  if (url === "/none") return void response.writeHead(404).end();
  response.writeHead(200, { "Cache-Control": url === "/private" ? "private" : "max-age=600" });
  response.end(Buffer.alloc(url === "/large" ? 300_000 : 1000, url));
};

async function warmStage(): Promise<WarmStage> {
  const folder = new TestFolder();
  const world = new Authority("The World");
  const inner = await internalAuthority();
  const origin = await Origin.start(answer, { tls: issueCertificate({ names: ["origin.example"], issuer: world }) });
  const dns = await DnsServer.start((_name, type) => ({ addresses: type === "A" ? ["127.0.0.1"] : [] }));
  const admin = `unix:${folder.file("admin.sock")}`;
  const forward = {
    allow: [ANYWHERE],
    dns: { servers: [dns.address] },
    tls: { ca: folder.write("world.pem", world.cert) },
    intercept: { hosts: ["*.example"], ports: "1-65535", ca: inner.folder.path, cache: folder.file("leaves") },
    cache: "files",
  };
  const config = {
    workers: 2,
    log: { access: "off" },
    admin: { listen: admin },
    caches: { files: { directory: folder.file("cache"), minFree: 0 } },
    servers: { egress: { listen: "127.0.0.1:0", forward } },
  };
  const proxy = Program.headgate(["run", "--config", folder.write("headgate.json", JSON.stringify(config))]);
  await proxy.until(/egress on http:/);
  return {
    folder,
    origin,
    warm: (list, ...flags) => {
      folder.write("urls.txt", list);
      return run(folder.path, "cache", "warm", "urls.txt", "--admin", admin, ...flags);
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
      await dns[Symbol.asyncDispose]();
      inner.folder[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

describe("warming a cache over https", () => {
  test("fetches what is not there, and says what is not stored and why", TIMEOUT, async () => {
    await using stage = await warmStage();
    const { origin, warm } = stage;
    const at = `https://origin.example:${origin.port}`;
    const list = `# what the farm needs\r\n\n  ${at}/small  \n${at}/large\n\n# once more\n${at}/small\n`;
    assert.deepEqual(await warm(list), { status: 0, stdout: "2 URLs: 2 stored (293.9 KiB)\n", stderr: "" });
    assert.deepEqual(origin.asked.map(({ url }) => url).sort(), ["/large", "/small"]);
    assert.equal(origin.asked[0]!.headers["proxy-authorization"], undefined);
    // The commit of the last one may come behind its last byte.
    let again = await warm(list);
    while (again.stdout !== "2 URLs: 2 there already\n") again = await warm(list);
    assert.equal(origin.asked.length, 2);

    const deadPort = await freePort();
    const mixed = [
      `${at}/large`,
      `${at}/private`,
      `${at}/none`,
      `https://origin.example:${deadPort}/away`,
      `${at}/more`,
    ];
    const { status, stdout, stderr } = await warm(`${mixed.join("\n")}\n`, "--parallel", "1");
    assert.deepEqual([status, stdout], [1, "5 URLs: 1 stored (1000 B), 1 there already, 1 not stored, 2 failed\n"]);
    assert.deepEqual(stderr.split("\n"), [
      `${at}/private: not stored: fwd=miss; fwd-status=200; detail=private: The answer is for one user alone (\`private\`).`,
      `${at}/none: failed: 404`,
      `https://origin.example:${deadPort}/away: failed: 502 (connection_refused)`,
      "",
    ]);
  });

  test("fetches nothing of a list that has a line which is no URL", TIMEOUT, async () => {
    await using stage = await warmStage();
    const { origin, warm } = stage;
    const at = `https://origin.example:${origin.port}`;
    for (const bad of ["origin.example/file", "ftp://origin.example/file", "https://"]) {
      const { status, stdout, stderr } = await warm(`${at}/small\n\n${bad}\n`);
      assert.deepEqual([status, stdout], [1, ""]);
      assert.equal(stderr, `urls.txt:3: expected a URL such as https://a.example/b, got "${bad}"\n`);
    }
    assert.equal(origin.asked.length, 0);
  });
});
