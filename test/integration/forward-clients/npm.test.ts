// npm install through the forward proxy, from a registry over http and from one over https. Each in a run of its own: in one run npm
// sends to the second what it means for the first.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { npm, userEnvironment } from "../../packaging/npm.ts";
import { runClient } from "../../support/forward-clients/client-program.ts";
import { type PackedPackage, registryHandler } from "../../support/forward-clients/npm-registry.ts";
import { ForwardClientsStage } from "../../support/forward-clients/stage.ts";

test("npm installs from registries over http and over https", { timeout: 90_000 }, async () => {
  const packages: PackedPackage[] = [];
  await using stage = await ForwardClientsStage.start(registryHandler(packages));
  const home = stage.folder.path;
  const name = "@some/package";
  const source = stage.folder.file("source");
  mkdirSync(source);
  writeFileSync(path.join(source, "package.json"), JSON.stringify({ name, version: "1.2.3" }));
  writeFileSync(path.join(source, "index.js"), "// some\n");
  packages.push({ name, version: "1.2.3", file: path.join(source, npm(source, "pack", "--silent").trim()) });
  for (const registry of [stage.httpUrl("/"), stage.httpsUrl("/")]) {
    const project = stage.folder.file(new URL(registry).protocol);
    mkdirSync(project);
    writeFileSync(path.join(project, "package.json"), JSON.stringify({ private: true }));
    const settings = {
      registry,
      proxy: stage.proxyUrl,
      "https-proxy": stage.proxyUrl,
      cafile: stage.ca,
      cache: path.join(project, "cache"),
      audit: false,
      fund: false,
      "update-notifier": false,
      "fetch-retries": 0,
    };
    const lines = Object.entries(settings).map(([setting, value]) => `${setting}=${value}\n`);
    writeFileSync(path.join(project, ".npmrc"), lines.join(""));
    const env = { PATH: userEnvironment().PATH ?? "", npm_config_globalconfig: stage.folder.file("none") };
    const { status, stdout, stderr } = await runClient("npm", ["install", name], { home, cwd: project, env });
    assert.equal(status, 0, stdout + stderr);
    assert.equal(readFileSync(path.join(project, "node_modules", name, "index.js"), "utf8"), "// some\n");
  }
  const asked = (await stage.logged()).map(({ method, destination, status }) => `${method} ${destination} ${status}`);
  const plain = `GET origin.example:${stage.http.port} 200`;
  const secure = `CONNECT origin.example:${stage.https.port} 200`;
  assert.equal(asked.filter((line) => line === plain).length, 2, asked.join("\n"));
  assert.ok(asked.includes(secure), asked.join("\n"));
});
