// apt-get update and download through the forward proxy, over http and over https.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { makeAptRepository, writeAptConfiguration } from "../../support/forward-clients/apt-repository.ts";
import { runClient } from "../../support/forward-clients/client-program.ts";
import { ForwardClientsStage } from "../../support/forward-clients/stage.ts";
import { needs } from "../../support/requirements.ts";

describe("apt-get", { skip: needs("apt-get", "dpkg-deb") }, () => {
  test("updates and downloads, over http and over https", { timeout: 90_000 }, async () => {
    let serve: import("node:http").RequestListener | null = null;
    await using stage = await ForwardClientsStage.start((request, response) => serve!(request, response));
    const repository = await makeAptRepository(stage.folder.path, "headgate-test");
    serve = repository.handler;
    for (const url of [stage.httpUrl("/debian/"), stage.httpsUrl("/debian/")]) {
      const home = stage.folder.file(url.split(":")[0]!);
      mkdirSync(home);
      const file = writeAptConfiguration(home, `deb [trusted=yes] ${url} ./`, [
        `Acquire::http::Proxy "${stage.proxyUrl}";`,
        `Acquire::https::Proxy "${stage.proxyUrl}";`,
        `Acquire::https::CAInfo "${stage.ca}";`,
      ]);
      for (const args of [
        ["update", "-q"],
        ["download", "-q", "headgate-test"],
      ]) {
        const { status, stdout, stderr } = await runClient("apt-get", args, { home, env: { APT_CONFIG: file } });
        assert.equal(status, 0, stdout + stderr);
        assert.doesNotMatch(stderr, /^[EW]:/m, stderr);
      }
      const got = readFileSync(path.join(home, "headgate-test_1.0_all.deb"));
      assert.ok(got.equals(repository.deb));
    }
    const lines = await stage.logged();
    assert.ok(lines.some(({ method }) => method === "GET"));
    assert.ok(lines.some(({ method, status }) => method === "CONNECT" && status === 200));
  });
});
