// Clients that end their side behind what they ask for, with `halfClose: true`: all of it is answered, over TCP and over TLS.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { describe, test } from "node:test";
import tls from "node:tls";
import { issueCertificate } from "../support/certificates.ts";
import { TestFolder } from "../support/folder.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";

const REQUESTS = 6;
const issued = issueCertificate({ names: ["a.test"] });

async function start(folder: TestFolder, origin: Origin): Promise<ProxyUnderTest> {
  const certificate = { cert: folder.write("a.pem", issued.cert), key: folder.write("a.key", issued.key) };
  const server = { halfClose: true, proxy: origin.url };
  return ProxyUnderTest.start({
    servers: {
      plain: { listen: "127.0.0.1:0", ...server },
      secure: { listen: { address: "127.0.0.1:0", tls: { certificates: [certificate] } }, ...server },
    },
  });
}

/** Sends a text and the end behind it at once; resolves with all that came until the other side's end. */
async function sendAndEnd(port: number, isSecure: boolean, text: string): Promise<string> {
  const options = { port, host: "127.0.0.1", allowHalfOpen: true };
  const socket = isSecure ? tls.connect({ ...options, servername: "a.test", ca: issued.cert }) : net.connect(options);
  await once(socket, isSecure ? "secureConnect" : "connect");
  socket.end(text);
  let answers = "";
  for await (const chunk of socket) answers += String(chunk);
  return answers;
}

describe("a client that ends its side behind its requests", { timeout: 30_000 }, () => {
  for (const isSecure of [false, true]) {
    const name = isSecure ? "TLS" : "TCP";

    test(`${name}: every one of several requests is answered`, async () => {
      using folder = new TestFolder();
      await using origin = await Origin.start((request, response) => response.end(`answer to ${request.url}`));
      await using proxy = await start(folder, origin);
      const heads = Array.from({ length: REQUESTS }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: a.test\r\n\r\n`);
      for (let times = 0; times < 3; times++) {
        const answers = await sendAndEnd(proxy.port(isSecure ? "secure" : "plain"), isSecure, heads.join(""));
        for (let index = 0; index < REQUESTS; index++) assert.ok(answers.includes(`answer to /${index}`), answers);
      }
    });

    for (const framing of ["Content-Length: 4", "Transfer-Encoding: chunked"]) {
      test(`${name}: a request with a body (${framing}) is answered`, async () => {
        using folder = new TestFolder();
        await using origin = await Origin.start(async (request, response) => {
          let body = "";
          for await (const chunk of request) body += String(chunk);
          response.end(`heard ${body}`);
        });
        await using proxy = await start(folder, origin);
        const body = framing.startsWith("Content") ? "body" : "4\r\nbody\r\n0\r\n\r\n";
        for (let times = 0; times < 3; times++) {
          const port = proxy.port(isSecure ? "secure" : "plain");
          const text = `POST / HTTP/1.1\r\nHost: a.test\r\n${framing}\r\n\r\n${body}`;
          assert.match(await sendAndEnd(port, isSecure, text), /heard body/);
        }
      });
    }
  }
});
