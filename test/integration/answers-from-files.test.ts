// Answers that are sent from files over real sockets: whole to who takes them, and the access log tells what really left.
import assert from "node:assert/strict";
import { closeSync, openSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { BodyProducer, Feature } from "../../src/index.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";
import { untilTrue } from "../support/soak-wait.ts";

/** More than kernels hold for one connection, and what a client takes whole. */
const BYTES = 20_000_000;
const WHOLE_BYTES = 500_000;
const file = path.join(os.tmpdir(), `headgate-answer-${process.pid}.bin`);
const content = Buffer.alloc(BYTES);
for (let at = 0; at < BYTES; at += 16) content.write(`${at}`.padStart(15, ".").concat("\n"), at, "latin1");
writeFileSync(file, content);
const descriptor = openSync(file, "r");
after(() => {
  closeSync(descriptor);
  rmSync(file);
});

/** Answers with the file; in one piece and in pieces that follow each other. */
function answering(total: number, pieces: number, bodyBytes: number): Feature & { returned: number } {
  const feature = {
    name: "answering",
    returned: 0,
    request(exchange: Parameters<NonNullable<Feature["request"]>>[0]) {
      const body: BodyProducer = (sink) => {
        const length = total / pieces;
        const next = (piece: number): void => {
          if (piece === pieces) return sink.end();
          const isSent = sink.sendFile(descriptor, piece * length, length, () => {
            feature.returned++;
            next(piece + 1);
          });
          if (!isSent) feature.returned += 1000;
        };
        next(0);
        return { pause() {}, resume() {} };
      };
      exchange.respond({ status: 200, body, bodyBytes });
    },
  };
  return feature;
}

function startWith(feature: Feature): Promise<ProxyUnderTest> {
  return ProxyUnderTest.start({
    servers: { web: { listen: "127.0.0.1:0", use: [feature], respond: 404 } },
    log: { access: { format: "json" } },
  });
}

for (const [what, pieces, bodyBytes] of [
  ["of known length, in one piece", 1, WHOLE_BYTES],
  ["chunked, in pieces", 5, -1],
] as const) {
  test(`a file ${what}, reaches the client whole, twice on one connection`, async () => {
    const feature = answering(WHOLE_BYTES, pieces, bodyBytes);
    await using proxy = await startWith(feature);
    using client = await RawClient.connect(proxy.port("web"));
    for (let request = 1; request <= 2; request++) {
      client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      const { body } = await client.answer();
      assert.ok(Buffer.from(body, "latin1").equals(content.subarray(0, WHOLE_BYTES)));
      // The client may have the last byte before the file is given back.
      await untilTrue(
        () => feature.returned >= request * pieces,
        () => "the file was not given back",
      );
      assert.equal(feature.returned, request * pieces);
    }
    const entries = await proxy.untilAccess(2);
    assert.deepEqual(
      entries.map(({ responseBytes }) => responseBytes),
      [WHOLE_BYTES, WHOLE_BYTES],
    );
  });
}

test("a client that leaves in the middle: the log tells what had left", async () => {
  const feature = answering(BYTES, 1, BYTES);
  await using proxy = await startWith(feature);
  using client = await RawClient.connect(proxy.port("web"));
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until(() => client.receivedBytes > 100_000, "a part of the body");
  client.socket.pause();
  client.reset();
  const [entry] = await proxy.untilAccess(1);
  assert.equal(entry!.error?.side, "client");
  assert.ok(entry!.responseBytes > 99_000 && entry!.responseBytes < BYTES, `${entry!.responseBytes} bytes`);
  // Behind the line in the log: a read of the file may be under way when the connection closes, and the file is held until it ends.
  await untilTrue(
    () => feature.returned > 0,
    () => "the file was not given back",
  );
  assert.equal(feature.returned, 1);
});
