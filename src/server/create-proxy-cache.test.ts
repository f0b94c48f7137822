// A cache in somebody's program: the keeper and the only thread are one, and all of it ends with `close`, so that another proxy of the
// same process, or of a later one, has the folder and what is in it.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import type http from "node:http";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { type Issued, issueCertificate } from "../../test/support/certificates.ts";
import { TestFolder } from "../../test/support/folder.ts";
import { Origin } from "../../test/support/origin.ts";
import { createProxy, type EmbeddedProxy, type HeadgateConfig, SetupError } from "../index.ts";

/** In its record; and in a file, of several blocks. */
const BODIES: Readonly<Record<string, Buffer>> = {
  "/files/small": Buffer.alloc(2000, "small "),
  "/files/large": Buffer.alloc(700_000, "large "),
};

const answer: http.RequestListener = ({ url = "" }, response) => {
  response.writeHead(200, { "Cache-Control": "max-age=600" }).end(BODIES[url] ?? `${url}`);
};

function cached(folder: TestFolder, origin: Origin): HeadgateConfig {
  return {
    caches: { files: { directory: folder.file("cache"), size: "64MiB", minFree: 0 } },
    servers: {
      web: {
        listen: "127.0.0.1:0",
        routes: [{ match: { path: "/files/*" }, use: [{ cache: "files" }], proxy: origin.url }, { proxy: origin.url }],
      },
    },
  };
}

async function ask(port: number, path: string): Promise<{ digest: string; cacheStatus: string | null }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  const digest = createHash("sha256")
    .update(Buffer.from(await response.arrayBuffer()))
    .digest("hex");
  return { digest, cacheStatus: response.headers.get("cache-status")?.replace(/; ttl=\d+/, "") ?? null };
}

async function portOf(proxy: EmbeddedProxy): Promise<number> {
  const [web] = await proxy.listen();
  return web!.address.port;
}

async function gives(port: number, cacheStatus: RegExp): Promise<void> {
  for (const [path, body] of Object.entries(BODIES)) {
    const got = await ask(port, path);
    assert.equal(got.digest, createHash("sha256").update(body).digest("hex"), path);
    assert.match(String(got.cacheStatus), cacheStatus, path);
  }
}

const FRESH = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nETag: "v1"\r\n';
const LENGTHLESS = `${FRESH}\r\nhalf of it`;

/** An origin that gives these answers in turn, and the last one from then on; under TLS it ends its connections without the goodbye that TLS has. */
async function cutting(
  issued: Issued | null,
  answers: readonly string[] = [LENGTHLESS],
): Promise<{ readonly url: string } & AsyncDisposable> {
  let asked = 0;
  const server = net.createServer((connection) => {
    connection.on("error", () => {});
    const socket = issued === null ? connection : new tls.TLSSocket(connection, { isServer: true, ...issued });
    socket.on("error", () => {});
    socket.once("data", () => socket.write(answers[asked++] ?? answers.at(-1)!, () => connection.end()));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `${issued === null ? "http" : "https"}://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}

describe("createProxy with a cache", () => {
  test("keeps nothing under TLS of which nobody can tell whether it was cut (RFC 9112, section 9.8)", async () => {
    using folder = new TestFolder();
    const issued = issueCertificate({ names: ["127.0.0.1"] });
    await using plain = await cutting(null);
    await using secure = await cutting(issued);
    const proxy = createProxy({
      upstreams: { secure: { servers: [secure.url], tls: { ca: folder.write("ca.pem", issued.cert) } } },
      caches: { files: { directory: folder.file("cache"), minFree: 0 } },
      servers: {
        web: {
          listen: "127.0.0.1:0",
          routes: [
            { match: { path: "/secure" }, use: [{ cache: "files" }], proxy: "secure" },
            { use: [{ cache: "files" }], proxy: plain.url },
          ],
        },
      },
    });
    const port = await portOf(proxy);
    const miss = "headgate; fwd=miss; fwd-status=200";
    for (const expected of [`${miss}; detail=unframed`, `${miss}; detail=unframed`]) {
      assert.equal((await ask(port, "/secure")).cacheStatus, expected);
    }
    assert.equal((await ask(port, "/plain")).cacheStatus, `${miss}; stored`);
    assert.match(String((await ask(port, "/plain")).cacheStatus), /^headgate; (hit|fwd=miss; collapsed)$/);
    await proxy.close();
  });

  test("takes nothing of that kind for the rest of what broke off", async () => {
    using folder = new TestFolder();
    const issued = issueCertificate({ names: ["127.0.0.1"] });
    const broken = `${FRESH}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n`;
    await using origin = await cutting(issued, [broken, LENGTHLESS]);
    const proxy = createProxy({
      upstreams: { secure: { servers: [origin.url], tls: { ca: folder.write("ca.pem", issued.cert) } } },
      caches: { files: { directory: folder.file("cache"), minFree: 0 } },
      servers: { web: { listen: "127.0.0.1:0", use: [{ cache: "files" }], proxy: "secure" } },
    });
    const port = await portOf(proxy);
    await assert.rejects(ask(port, "/"));
    assert.equal((await ask(port, "/")).cacheStatus, "headgate; fwd=miss; fwd-status=200; detail=unframed");
    await proxy.close();
  });

  test("keeps what it fetched through close, for the next one on the same folder", async () => {
    using folder = new TestFolder();
    await using origin = await Origin.start(answer);
    const first = createProxy(cached(folder, origin));
    const port = await portOf(first);
    // Ports differ from proxy to proxy, and the host is in the key: all of it is asked for by one name.
    const many = await Promise.all(Array.from({ length: 20 }, () => ask(port, "/files/large")));
    assert.equal(new Set(many.map(({ digest }) => digest)).size, 1);
    assert.equal(origin.asked.length, 1);
    assert.equal((await ask(port, "/files/small")).cacheStatus, "headgate; fwd=miss; fwd-status=200; stored");
    assert.equal((await ask(port, "/other")).cacheStatus, null);
    await gives(port, /^headgate; (hit|fwd=miss; collapsed)$/);
    assert.equal(origin.asked.length, 3);
    await first.close();
    await assert.rejects(ask(port, "/files/small"));

    const config = cached(folder, origin);
    const second = createProxy({
      ...config,
      servers: { web: { ...config.servers!.web!, listen: `127.0.0.1:${port}` } },
    });
    assert.equal(await portOf(second), port);
    await gives(port, /^headgate; hit$/);
    assert.equal(origin.asked.length, 3);
    await second.close();
  });

  test("has the folder for itself, and gives it back", async () => {
    using folder = new TestFolder();
    await using origin = await Origin.start(answer);
    const first = createProxy(cached(folder, origin));
    await first.listen();
    const other = createProxy(cached(folder, origin));
    await assert.rejects(other.listen(), (error) => {
      assert.ok(error instanceof SetupError);
      assert.match(error.message, /cannot open the cache files in .*: .* is in use as a cache by process \d+/);
      return true;
    });
    await other.close();
    await first.close();
    const next = createProxy(cached(folder, origin));
    await gives(await portOf(next), /fwd=miss/);
    await next.close();
  });

  test("lets go of a cache that a reload takes away, and takes it up again", async () => {
    using folder = new TestFolder();
    await using origin = await Origin.start(answer);
    const config = cached(folder, origin);
    const proxy = createProxy(config);
    const port = await portOf(proxy);
    await gives(port, /fwd=miss/);
    // What is being written when its cache goes is not kept.
    for (const path of Object.keys(BODIES)) {
      while ((await ask(port, path)).cacheStatus !== "headgate; hit");
    }
    const { web } = config.servers!;
    await proxy.reload({ servers: { web: { listen: web!.listen!, proxy: origin.url } } });
    assert.equal((await ask(port, "/files/small")).cacheStatus, null);
    const asked = origin.asked.length;
    await proxy.reload(config);
    await gives(port, /^headgate; hit$/);
    assert.equal(origin.asked.length, asked);
    await proxy.close();
  });

  test("ends downloads that nobody waits for with close", async () => {
    using folder = new TestFolder();
    let isHeld = true;
    await using origin = await Origin.start((request, response) => {
      if (!isHeld) return answer(request, response);
      response.writeHead(200, { "Cache-Control": "max-age=600", "Content-Length": "100000" });
      response.write(Buffer.alloc(50_000));
    });
    const first = createProxy(cached(folder, origin));
    const port = await portOf(first);
    const gone = new AbortController();
    const response = await fetch(`http://127.0.0.1:${port}/files/small`, { signal: gone.signal });
    assert.equal(response.status, 200);
    gone.abort();
    await first.close({ timeoutMs: 0 });
    isHeld = false;
    // Nothing of it was kept.
    const second = createProxy(cached(folder, origin));
    await gives(await portOf(second), /fwd=miss/);
    await second.close();
  });
});
