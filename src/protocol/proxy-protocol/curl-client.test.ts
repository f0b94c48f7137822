// curl as the sender of a PROXY protocol header: it tells its own connection, which we see too.
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { it } from "node:test";
import { curl } from "../../../test/support/curl.ts";
import { needs } from "../../../test/support/requirements.ts";
import { decodeProxyHeader, ProxyHeader } from "./decode.ts";

it("curl tells the ends of its connection", { skip: needs("curl") }, async () => {
  const header = new ProxyHeader();
  let peer = 0;
  const server = createServer((socket) => {
    let held = Buffer.alloc(0);
    socket.on("data", (bytes: Buffer) => {
      held = Buffer.concat([held, bytes]);
      const length = decodeProxyHeader(held, 0, held.length, header);
      // What is judged once is judged: the request may come in a piece of its own behind it.
      if (length === 0 || (length > 0 && held.length === length) || socket.writableEnded) return;
      peer = socket.remotePort ?? 0;
      const isHttp = length > 0 && held.toString("latin1", length).startsWith("GET / ");
      socket.end(`HTTP/1.1 ${isHttp ? 204 : 400} X\r\nConnection: close\r\n\r\n`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const { status, log } = await curl(["--haproxy-protocol", "--fail", `http://127.0.0.1:${port}/`]);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(status, 0, log);
  assert.deepEqual(header.source, { family: 4, address: "127.0.0.1", port: peer });
  assert.deepEqual(header.destination, { family: 4, address: "127.0.0.1", port });
});
