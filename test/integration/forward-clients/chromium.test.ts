// A browser through the forward proxy: by CONNECT, and where its HTTPS is opened with a CA that it trusts.

import assert from "node:assert/strict";
import { chmodSync } from "node:fs";
import { describe, test } from "node:test";
import { makeAuthority } from "../../../src/forward/interception/new-authority.ts";
import { domOf, trustInChromium } from "../../support/forward-clients/chromium.ts";
import { ForwardClientsStage, type StageOptions } from "../../support/forward-clients/stage.ts";
import { needs } from "../../support/requirements.ts";

const TIMEOUT = { timeout: 120_000 };

const SCRIPT = `<p id=fetched></p><script>
const request = new XMLHttpRequest();
request.open("GET", "/data", false);
request.send();
document.getElementById("fetched").textContent = request.responseText;
</script>`;

/** A page that says how it came, and asks for data. */
const start = (forward: StageOptions["forward"] = {}) =>
  ForwardClientsStage.start(
    (request, response) => {
      if (request.url !== "/") {
        response.end(`data of ${request.url}`);
        return;
      }
      const via = `<p id="via">${request.headers.via?.split(" ")[0] ?? "none"}</p>`;
      response.setHeader("Content-Type", "text/html");
      response.end(`<!doctype html><title>page</title><link rel="icon" href="data:,">${via}${SCRIPT}`);
    },
    { forward },
  );

describe("Chromium", { skip: needs("chromium", "certutil") }, () => {
  test("loads a page over http and one by CONNECT, and what they ask for", TIMEOUT, async () => {
    await using stage = await start();
    await trustInChromium(stage.folder, stage.ca);
    const proxy = `--proxy-server=${stage.proxyUrl}`;
    for (const [url, via] of [
      [stage.httpUrl("/"), "1.1"],
      [stage.httpsUrl("/"), "none"],
    ] as const) {
      const dom = await domOf(url, stage.folder, [proxy]);
      assert.match(dom, new RegExp(`<p id="via">${via}</p>`), dom);
      assert.match(dom, /<p id="fetched">data of \/data<\/p>/);
    }
    const asked = (await stage.logged()).filter(({ destination }) => String(destination).startsWith("origin.example:"));
    assert.ok(asked.some(({ method }) => method === "GET"));
    assert.ok(asked.some(({ method, status }) => method === "CONNECT" && status === 200));
  });

  test("loads an intercepted page, by the CA that it trusts, and no other", TIMEOUT, async () => {
    const life = 86_400_000;
    const inner = await makeAuthority({ name: "Inner", lifeMs: life, hosts: [], networks: [] }, Date.now());
    await using stage = await start((folder) => {
      folder.write("ca.pem", inner.cert);
      chmodSync(folder.write("ca.key", inner.key), 0o600);
      return { intercept: { hosts: ["*.example"], ports: "1-65535", ca: folder.path, cache: folder.file("leaves") } };
    });
    const proxy = `--proxy-server=${stage.proxyUrl}`;
    assert.doesNotMatch(await domOf(stage.httpsUrl("/"), stage.folder, [proxy]), /id="via"/);
    await trustInChromium(stage.folder, stage.folder.file("ca.pem"));
    const dom = await domOf(stage.httpsUrl("/"), stage.folder, [proxy]);
    assert.match(dom, /<p id="via">1\.1<\/p>/, dom);
    assert.match(dom, /<p id="fetched">data of \/data<\/p>/);
    const inside = (await stage.logged()).filter(({ method, scheme }) => method === "GET" && scheme === "https");
    assert.deepEqual(inside.map(({ path }) => path).sort(), ["/", "/data"]);
  });
});
