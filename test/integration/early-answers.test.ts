// Answers that come before the request has ended, to clients that send all of it before they read: as many libraries do.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";

const issued = issueCertificate({ names: ["a.test"] });
/** More than the kernel's buffers hold, and than is read for the connection to be kept. */
const BODY_BYTES = 24 * 1024 * 1024;

async function start(folder: TestFolder, origin: Origin): Promise<ProxyUnderTest> {
  const certificate = { cert: folder.write("a.pem", issued.cert), key: folder.write("a.key", issued.key) };
  const routes = [{ match: { path: "/small" }, limits: { body: "1KiB" }, proxy: origin.url }, { proxy: origin.url }];
  return ProxyUnderTest.start({
    servers: {
      plain: { listen: "127.0.0.1:0", routes },
      secure: { listen: { address: "127.0.0.1:0", tls: { certificates: [certificate] } }, routes },
    },
  });
}

/** Reads nothing until the kernel has taken all of the request; resolves with all that came until the other side's end. */
async function sendThenRead(
  port: number,
  isSecure: boolean,
  head: string,
  framing: "length" | "chunks",
): Promise<string> {
  const where = { port, host: "127.0.0.1" };
  const socket = isSecure ? tls.connect({ ...where, servername: "a.test", ca: issued.cert }) : net.connect(where);
  await once(socket, isSecure ? "secureConnect" : "connect");
  const said = framing === "length" ? `Content-Length: ${BODY_BYTES}` : "Transfer-Encoding: chunked";
  socket.write(`${head}\r\nHost: a.test\r\n${said}\r\n\r\n`);
  const piece = Buffer.alloc(64 * 1024, "x");
  for (let sent = 0; sent < BODY_BYTES; sent += piece.length) {
    const bytes = framing === "length" ? piece : Buffer.concat([Buffer.from("10000\r\n"), piece, Buffer.from("\r\n")]);
    await new Promise<void>((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())));
  }
  if (framing === "chunks") socket.write("0\r\n\r\n");
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

describe("an early answer to a client that sends all before it reads", { timeout: 60_000 }, () => {
  for (const isSecure of [false, true]) {
    for (const framing of ["length", "chunks"] as const) {
      for (const [who, path, status] of [
        ["the origin's", "/", 401],
        ["the proxy's own", "/small", 413],
      ] as const) {
        test(`${who}, over ${isSecure ? "TLS" : "TCP"}, ${framing}: arrives whole`, async () => {
          using folder = new TestFolder();
          await using origin = await Origin.start((request, response) => {
            response.writeHead(401, { "content-length": "6" }).end("not us");
            request.resume();
          });
          await using proxy = await start(folder, origin);
          const port = proxy.port(isSecure ? "secure" : "plain");
          const answer = await sendThenRead(port, isSecure, `POST ${path} HTTP/1.1`, framing);
          // By its length the proxy refuses it at once; chunks may have been answered by the origin before they are too many.
          const either = framing === "length" ? status : `(${status}|401)`;
          assert.match(answer, new RegExp(`^HTTP/1\\.1 ${either} `));
          if (answer.startsWith("HTTP/1.1 401")) assert.match(answer, /\r\n\r\nnot us$/);
          if (framing === "length") assert.match(answer, /\r\nConnection: close\r\n/);
        });
      }
    }
  }
});
