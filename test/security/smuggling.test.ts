// Every payload of the smuggling corpus, sent raw through the running proxy. The origin behind it is Node's own server, another
// parser than ours, on connections that are reused: it must see the requests that were accepted and never one more.

import assert from "node:assert/strict";
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { SMUGGLING_REQUESTS, SMUGGLING_RESPONSES } from "./smuggling-corpus.ts";

const TIMEOUT = { timeout: 120_000 };

/** The target as an upstream gets it: in origin form. */
const inOriginForm = (target: string) => target.replace(/^https?:\/\/[^/?]*\/?/i, "/");

/** The status of what the proxy refuses although its bytes can be read in one way only; null when it serves it. */
function refusedLater(request: string, bytes: string): number | null {
  const [method = "", target = ""] = request.split(" ");
  if (method === "CONNECT" || method === "TRACE") return 405;
  // The codec reads the one and the other; which of them counts is where servers differ.
  const authority = /^https?:\/\/([^/?]*)/i.exec(target)?.[1];
  const host = /^host:[ \t]*(.*?)[ \t]*\r$/im.exec(bytes)?.[1];
  return authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase() ? 400 : null;
}

describe("a request of the corpus", () => {
  let origin: Origin;
  let proxy: ProxyUnderTest;
  /** Requests that the origin has read to their end: "METHOD target body". */
  const complete: string[] = [];
  const malformed: Error[] = [];

  before(async () => {
    origin = await Origin.start(async (request, response) => {
      let body = "";
      request.on("error", () => {});
      request.on("data", (chunk: Buffer) => {
        body += chunk.toString("latin1");
      });
      request.on("end", () => {
        if (request.url !== "/probe") complete.push(`${request.method} ${request.url} ${body}`);
        response.end("answered");
      });
    });
    origin.server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
      // An aborted request is no malformed one.
      if (error.code !== "ECONNRESET" && error.code !== "HPE_INVALID_EOF_STATE") malformed.push(error);
      socket.destroy();
    });
    proxy = await ProxyUnderTest.start({ servers: { web: { listen: "127.0.0.1:0", proxy: origin.url } } });
  });

  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await origin[Symbol.asyncDispose]();
  });

  for (const payload of SMUGGLING_REQUESTS) {
    test(`${payload.family}: ${payload.name}`, TIMEOUT, async () => {
      complete.length = malformed.length = 0;
      using client = await RawClient.connect(proxy.port("web"));
      client.send(payload.bytes);
      for (const request of payload.accepted) {
        const answer = await client.answer(request.startsWith("HEAD "));
        assert.equal(answer.status, refusedLater(request, payload.bytes) ?? 200, `${request}: ${payload.why}`);
      }
      if (payload.refused !== null) assert.equal((await client.answer()).status, payload.refused.status, payload.why);
      if (payload.afterwards === "closed") {
        await client.untilEnded();
        assert.equal(client.rest, "");
      }
      if (payload.afterwards === "between") {
        client.send("GET /probe HTTP/1.1\r\nHost: a\r\n\r\n");
        assert.equal((await client.answer()).body, "answered");
      }

      const served = payload.accepted.filter((request) => refusedLater(request, payload.bytes) === null);
      const expected = served.map((request) => {
        const [method = "", target = "", ...body] = request.split(" ");
        return `${method} ${inOriginForm(target)} ${body.join(" ")}`;
      });
      assert.deepEqual(complete, expected, payload.why);
      assert.ok(!origin.asked.some(({ url }) => url.includes("/hidden")), payload.why);
      assert.deepEqual(malformed, []);
    });
  }
});

describe("a response of the corpus", () => {
  for (const payload of SMUGGLING_RESPONSES) {
    test(`${payload.family}: ${payload.name}`, TIMEOUT, async () => {
      const server = net.createServer((socket) => {
        socket.on("error", () => {});
        socket.on("data", (chunk: Buffer) => {
          if (chunk.toString("latin1").includes("/first")) socket.end(Buffer.from(payload.bytes, "latin1"));
          else socket.end("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
        });
      });
      await once(server.listen(0, "127.0.0.1"), "listening");
      const to = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await using proxy = await ProxyUnderTest.start({
        servers: { web: { listen: "127.0.0.1:0", proxy: { to, retries: 0 } } },
      });
      using client = await RawClient.connect(proxy.port("web"));
      client.send(`${payload.method} /first HTTP/1.1\r\nHost: a\r\n\r\n`);
      // Interim answers stand before the final one; what stands behind it answers nothing.
      const final = payload.accepted.find((answer) => !answer.startsWith("1"));
      let first = await client.answer(payload.method === "HEAD").catch(() => null);
      while (first !== null && first.status < 200)
        first = await client.answer(payload.method === "HEAD").catch(() => null);
      if (final === undefined) {
        // Refused before its head went on, or cut so that nobody can take it for complete.
        if (first !== null) assert.equal(first.status, 502, payload.why);
        else assert.ok(client.closed || client.ended, payload.why);
      } else assert.equal(`${first?.status} ${first?.body}`, final, payload.why);
      assert.ok(!client.received.includes("hidden"), payload.why);

      if (first !== null && first.fields.get("connection") !== "close") {
        client.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n");
        const second = await client.answer();
        assert.equal(`${second.status} ${second.body}`, "200 second", payload.why);
      }
      server.close();
    });
  }
});
