// curl as the client of SOCKS4, 4a and 5: what it asks for is what we read, and it understands our refusals.
import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { curl } from "../../../test/support/curl.ts";
import { needs } from "../../../test/support/requirements.ts";
import { ProxyError } from "../../core/errors.ts";
import { SocksServer } from "./server.ts";

/** Answers as the origin itself, with what was asked for; the name "refused.example" is where nothing listens. */
function serve(socket: Socket): void {
  const socks = new SocksServer("optional");
  let held = Buffer.alloc(0);
  socket.on("error", () => {});
  socket.on("data", (bytes: Buffer) => {
    held = Buffer.concat([held, bytes]);
    for (let used = 1; used > 0; held = held.subarray(Math.max(used, 0))) {
      used = socks.receive(held, 0, held.length);
      if (used < 0) socket.end(socks.refusal(used) ?? "");
      if (used <= 0) break;
      if (socks.toSend !== null) socket.write(socks.toSend);
      if (socks.state === "verdict") {
        const accepted = `${socks.password}` === "secret";
        socket.write(socks.verdict(accepted));
        if (!accepted) socket.end();
      }
      if (socks.state === "answer") answer(socks, socket);
    }
  });
}

function answer(socks: SocksServer, socket: Socket): void {
  if (socks.host === "refused.example") {
    socket.end(socks.failed(new ProxyError("connection_refused", "")));
    return;
  }
  socket.write(socks.granted(null));
  const body = `${socks.version} ${socks.user} ${socks.host}:${socks.port}`;
  socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
}

describe("curl", { skip: needs("curl") }, () => {
  let server: Server;
  let proxy = "";
  before(async () => {
    server = createServer(serve);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    proxy = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  const asks: [option: string, credentials: string, url: string, answer: string][] = [
    ["--socks5-hostname", "", "http://a.example:8080/", "5 null a.example:8080"],
    ["--socks5-hostname", "ann:secret@", "http://a.example/", "5 ann a.example:80"],
    ["--socks5", "", "http://192.0.2.1/", "5 null 192.0.2.1:80"],
    ["--socks5-hostname", "", "http://[2001:db8::1]/", "5 null 2001:db8::1:80"],
    ["--socks4", "ann@", "http://192.0.2.1/", "4 null 192.0.2.1:80"],
    ["--socks4a", "ann@", "http://a.example/", "4 null a.example:80"],
  ];
  for (const [option, credentials, url, expected] of asks) {
    it(`reaches ${url} by ${option} ${credentials}`, async () => {
      const { status, output, log } = await curl([option, credentials + proxy, url]);
      assert.deepEqual([status, output], [0, expected], log);
    });
  }

  const refusals: [option: string, credentials: string, url: string, log: RegExp][] = [
    ["--socks5-hostname", "", "http://refused.example/", /\(5\)/],
    ["--socks4a", "", "http://refused.example/", /91/],
    ["--socks5-hostname", "ann:wrong@", "http://a.example/", /rejected/],
  ];
  for (const [option, credentials, url, expected] of refusals) {
    it(`understands why not: ${option} ${credentials}${url}`, async () => {
      const { status, log } = await curl([option, credentials + proxy, url]);
      assert.equal(status, 97, log);
      assert.match(log, expected);
    });
  }
});
