// `headgate proxy`: a reverse proxy from flags. A WebSocket on one path and 404 elsewhere is what people run a web server
// for; here it is one line.

import assert from "node:assert/strict";
import { once } from "node:events";
import https from "node:https";
import type net from "node:net";
import { describe, test } from "node:test";
import WebSocket, { WebSocketServer } from "ws";
import { issueCertificate } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { Origin } from "../support/origin.ts";
import { RawClient } from "../support/raw-client.ts";
import { Folder, Running } from "./headgate.ts";

function get(target: string, host = "a"): string {
  return `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
}

/** An origin that answers requests, and echoes what comes on a WebSocket. */
async function echoOrigin(): Promise<Origin & { readonly sockets: Origin["sockets"] }> {
  const origin = await Origin.start((request, response) => response.end(`origin ${request.url}`));
  const server = new WebSocketServer({ server: origin.server });
  server.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("error", () => {});
  });
  return origin;
}

describe("headgate proxy", () => {
  test("--path /up --websocket passes a WebSocket on /up, and answers 404 elsewhere", async () => {
    await using origin = await echoOrigin();
    using folder = new Folder();
    const port = await freePort();
    const flags = ["--listen", `:${port}`, "--to", origin.url, "--path", "/up", "--websocket"];
    await using running = await Running.start(folder.path, "proxy", ...flags);
    const said = running.entries.find(({ msg }) => msg.startsWith("headgate "))?.msg ?? "";
    assert.match(
      said,
      /^headgate \d+\.\d+\.\d+: proxy on http:\/\/localhost:\d+ \(all addresses\) \(transport (net|native), \d+ workers?, Node \d+\.\d+\.\d+\)$/,
    );

    const socket = new WebSocket(`ws://127.0.0.1:${port}/up`);
    await once(socket, "open");
    socket.send("text");
    assert.deepEqual((await once(socket, "message")).map(String), ["text", "false"]);
    socket.send(Buffer.alloc(200_000, 7));
    const [data, isBinary] = await once(socket, "message");
    assert.deepEqual([(data as Buffer).length, isBinary], [200_000, true]);
    socket.close(1000, "done");
    assert.deepEqual((await once(socket, "close")).map(String), ["1000", "done"]);

    using client = await RawClient.connect(port);
    for (const target of ["/up", "/", "/up/other", "/other"]) {
      assert.equal((await client.send(get(target)).answer()).status, 404, target);
    }
    const refused = new WebSocket(`ws://127.0.0.1:${port}/other`);
    const [error] = await once(refused, "error");
    assert.match(String(error), /Unexpected server response: 404/);
    assert.deepEqual(
      origin.asked.map(({ url }) => url),
      ["/up"],
    );
  });

  test("without a path passes everything; --path /app/* what is below", async () => {
    await using origin = await echoOrigin();
    using folder = new Folder();
    {
      await using running = await Running.start(folder.path, "proxy", "--listen", "127.0.0.1:0", "--to", origin.url);
      using client = await RawClient.connect(running.port("proxy"));
      assert.equal((await client.send(get("/x?y")).answer()).body, "origin /x?y");
      const written = await running.untilStdout((text) => text.includes("\n"));
      const { path, status, upstream } = JSON.parse(written) as Record<string, unknown>;
      assert.deepEqual([path, status, upstream], ["/x", 200, origin.url]);
    }
    const flags = ["--listen", "127.0.0.1:0", "--to", origin.url, "--path", "/app/*", "--host-header", "upstream"];
    await using running = await Running.start(folder.path, "proxy", ...flags);
    using client = await RawClient.connect(running.port("proxy"));
    assert.equal((await client.send(get("/app/x")).answer()).body, "origin /app/x");
    assert.equal(origin.asked.at(-1)?.headers.host, `127.0.0.1:${origin.port}`);
    assert.equal((await client.send(get("/x")).answer()).status, 404);
  });

  test("verifies an https server by default; --server-name and --insecure say otherwise", async () => {
    const names: (string | null)[] = [];
    const tls = issueCertificate({ names: ["app.test"] });
    const server = https.createServer(tls, (request, response) => {
      names.push((request.socket as unknown as { servername: string | null }).servername);
      response.end("secret");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const to = `https://127.0.0.1:${(server.address() as net.AddressInfo).port}`;
    using folder = new Folder();
    const statusWith = async (...flags: readonly string[]): Promise<number> => {
      await using running = await Running.start(folder.path, "proxy", "--listen", "127.0.0.1:0", "--to", to, ...flags);
      using client = await RawClient.connect(running.port("proxy"));
      const { status } = await client.send(get("/")).answer();
      const warned = running.entries.some(({ msg }) => /^--insecure: certificates are not verified/.test(msg));
      assert.equal(warned, flags.includes("--insecure"));
      return status;
    };
    try {
      assert.equal(await statusWith(), 502);
      assert.equal(await statusWith("--server-name", "app.test", "--insecure"), 200);
      assert.deepEqual(names, ["app.test"]);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test("the same from a file", async () => {
    await using origin = await echoOrigin();
    using folder = new Folder();
    const routes = `routes: [{ match: { path: /up, websocket: true }, proxy: "${origin.url}" }]`;
    folder.file("headgate.yaml", `servers:\n  web:\n    listen: "127.0.0.1:0"\n    ${routes}\n`);
    await using running = await Running.start(folder.path, "run");
    const socket = new WebSocket(`ws://127.0.0.1:${running.port("web")}/up`);
    await once(socket, "open");
    socket.send("text");
    assert.equal(String((await once(socket, "message"))[0]), "text");
    socket.close();
    await once(socket, "close");
    using client = await RawClient.connect(running.port("web"));
    assert.equal((await client.send(get("/up")).answer()).status, 404);
  });
});
