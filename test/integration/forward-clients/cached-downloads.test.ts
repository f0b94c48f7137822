// Programs that download, twice, each time as if on a machine of its own: what never changes comes from its origin once, and from the
// cache of the forward proxy the second time. apt over http, npm and pip over https, which is intercepted.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, type TestContext, test } from "node:test";
import { npm, userEnvironment } from "../../packaging/npm.ts";
import { makeAptRepository, writeAptConfiguration } from "../../support/forward-clients/apt-repository.ts";
import { type ClientOutcome, runClient } from "../../support/forward-clients/client-program.ts";
import { DownloadsOrigin, type OfferedFile } from "../../support/forward-clients/downloads-origin.ts";
import { registryAnswer } from "../../support/forward-clients/npm-registry.ts";
import { makeWheel, simpleIndex } from "../../support/forward-clients/python-index.ts";
import { ForwardClientsStage } from "../../support/forward-clients/stage.ts";
import { internalAuthority } from "../../support/interception-stage.ts";
import { findCommand, needs } from "../../support/requirements.ts";

const TIMEOUT = { timeout: 90_000 };

/** Enough to be seen in the time that it takes, and nothing that compresses. */
const PAYLOAD = randomBytes(3 * 2 ** 20);

interface CachingStage extends AsyncDisposable {
  readonly stage: ForwardClientsStage;
  readonly origin: DownloadsOrigin;
  /** PEM file of the authority that issues the certificates of intercepted hosts. */
  readonly inner: string;
}

async function cachingStage(find: ConstructorParameters<typeof DownloadsOrigin>[0]): Promise<CachingStage> {
  const { folder: authority } = await internalAuthority();
  const origin = new DownloadsOrigin(find);
  const stage = await ForwardClientsStage.start(origin.handler, {
    top: (folder) => ({ caches: { downloads: { directory: folder.file("cache"), minFree: 0 } } }),
    forward: (folder) => ({
      cache: "downloads",
      intercept: { hosts: ["*.example"], ports: "1-65535", ca: authority.path, cache: folder.file("leaves") },
    }),
  });
  return {
    stage,
    origin,
    inner: authority.file("ca.pem"),
    async [Symbol.asyncDispose]() {
      await stage[Symbol.asyncDispose]();
      authority[Symbol.dispose]();
    },
  };
}

/** Runs it in a new home each time; `isImmutable` says of a path that it must not be sent again. */
async function twice(
  t: TestContext,
  { stage, origin }: CachingStage,
  isImmutable: (path: string) => boolean,
  run: (home: string) => Promise<void>,
): Promise<void> {
  const notes: string[] = [];
  for (const time of ["first", "second"]) {
    const home = stage.folder.file(time);
    mkdirSync(home);
    const startedMs = performance.now();
    await run(home);
    const { paths, bytes } = origin.take();
    const immutable = paths.filter(isImmutable);
    if (time === "first") assert.equal(immutable.length, 1, paths.join("\n"));
    else assert.deepEqual(immutable, []);
    notes.push(`${time}: ${Math.round(performance.now() - startedMs)} ms, ${bytes} bytes from the origin`);
  }
  t.diagnostic(notes.join("; "));
}

function assertWorked({ status, stdout, stderr }: ClientOutcome): void {
  assert.equal(status, 0, stdout + stderr);
}

describe("apt-get", { skip: needs("apt-get", "dpkg-deb") }, () => {
  test("downloads a package once", TIMEOUT, async (t) => {
    const files = new Map<string, string | Buffer>();
    await using caching = await cachingStage((url): OfferedFile | null => {
      const content = files.get(path.posix.basename(url));
      const isImmutable = url.endsWith(".deb");
      return content === undefined
        ? null
        : { bytes: Buffer.from(content), type: "application/octet-stream", isImmutable };
    });
    const { stage } = caching;
    const repository = await makeAptRepository(stage.folder.path, "headgate-test", PAYLOAD);
    for (const [name, content] of repository.files) files.set(name, content);
    await twice(
      t,
      caching,
      (url) => url.endsWith(".deb"),
      async (home) => {
        const source = `deb [trusted=yes] ${stage.httpUrl("/debian/")} ./`;
        const file = writeAptConfiguration(home, source, [`Acquire::http::Proxy "${stage.proxyUrl}";`]);
        for (const args of [
          ["update", "-q"],
          ["download", "-q", "headgate-test"],
        ]) {
          assertWorked(await runClient("apt-get", args, { home, env: { APT_CONFIG: file } }));
        }
        assert.ok(readFileSync(path.join(home, "headgate-test_1.0_all.deb")).equals(repository.deb));
      },
    );
  });
});

test("npm downloads a package once, over https", TIMEOUT, async (t) => {
  const name = "@some/package";
  const packed = { name, version: "1.2.3", file: "" };
  await using caching = await cachingStage((url, request) => {
    const answer = registryAnswer([packed], url, request);
    return answer === null ? null : { ...answer, isImmutable: url.endsWith(".tgz") };
  });
  const { stage, inner } = caching;
  const source = stage.folder.file("source");
  mkdirSync(source);
  writeFileSync(path.join(source, "package.json"), JSON.stringify({ name, version: "1.2.3" }));
  writeFileSync(path.join(source, "payload"), PAYLOAD);
  packed.file = path.join(source, npm(source, "pack", "--silent").trim());
  await twice(
    t,
    caching,
    (url) => url.endsWith(".tgz"),
    async (home) => {
      writeFileSync(path.join(home, "package.json"), JSON.stringify({ private: true }));
      const settings = {
        registry: stage.httpsUrl("/"),
        proxy: stage.proxyUrl,
        "https-proxy": stage.proxyUrl,
        cafile: inner,
        cache: path.join(home, "cache"),
        audit: false,
        fund: false,
        "update-notifier": false,
        "fetch-retries": 0,
      };
      const lines = Object.entries(settings).map(([setting, value]) => `${setting}=${value}\n`);
      writeFileSync(path.join(home, ".npmrc"), lines.join(""));
      const env = { PATH: userEnvironment().PATH ?? "", npm_config_globalconfig: stage.folder.file("none") };
      assertWorked(await runClient("npm", ["install", name], { home, env }));
      assert.ok(readFileSync(path.join(home, "node_modules", name, "payload")).equals(PAYLOAD));
    },
  );
});

describe("pip", { skip: needs("pip3") }, () => {
  test("downloads a package once, over https", TIMEOUT, async (t) => {
    let wheel: { readonly name: string; readonly bytes: Buffer } | null = null;
    await using caching = await cachingStage((url) => {
      if (wheel === null) return null;
      if (url === `/files/${wheel.name}`) return { bytes: wheel.bytes, type: "application/zip", isImmutable: true };
      if (url !== "/simple/headgate-test/") return null;
      return { bytes: Buffer.from(simpleIndex(wheel, "/files/")), type: "text/html", isImmutable: false };
    });
    const { stage, inner } = caching;
    wheel = makeWheel("headgate_test", "1.0", { "headgate_test/payload": PAYLOAD });
    await twice(
      t,
      caching,
      (url) => url.endsWith(".whl"),
      async (home) => {
        const args = ["install", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--target", home];
        const where = ["--index-url", stage.httpsUrl("/simple/"), "--proxy", stage.proxyUrl, "--cert", inner];
        assertWorked(await runClient(findCommand("pip3")!, [...args, ...where, "headgate-test"], { home }));
        assert.ok(readdirSync(home).includes("headgate_test-1.0.dist-info"));
        assert.ok(readFileSync(path.join(home, "headgate_test", "payload")).equals(PAYLOAD));
      },
    );
  });
});
