// Openings of redirected connections that are almost a ClientHello, in pieces of any size: each becomes a tunnel that carries every
// byte of it, is answered as a request that cannot be read, or is closed; and nothing is left of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { clientHello, records, serverName } from "../support/client-hello-bytes.ts";
import { EchoServer } from "../support/forward-stage.ts";
import { RedirectedStage } from "../support/redirected-stage.ts";
import { replayHint, seed } from "../support/seed.ts";

const OPENINGS = 150;
/** Of those at a time. */
const TOGETHER = 10;
const whole = records(clientHello({ extensions: [serverName("origin.example")] }), [20, 60, 200]);

function below(random: SeededRandom, end: number): number {
  return Math.floor(random.next() * end);
}

function opening(random: SeededRandom): Buffer {
  const bytes = Buffer.from(whole);
  for (let changes = below(random, 4); changes > 0; changes--) bytes[below(random, bytes.length)] = below(random, 256);
  return random.next() < 0.3 ? bytes.subarray(0, 1 + below(random, bytes.length)) : bytes;
}

test("every opening comes to an end", { timeout: 60_000 }, async () => {
  const random = new SeededRandom(seed);
  await using echo = await EchoServer.start();
  await using stage = await RedirectedStage.start();
  let tunnels = 0;
  const open = async (): Promise<void> => {
    const bytes = opening(random);
    using client = await stage.headedFor(echo.port);
    for (let at = 0; at < bytes.length; ) {
      const end = Math.min(bytes.length, at + 1 + below(random, 80));
      client.send(bytes.subarray(at, end));
      at = end;
    }
    client.socket.end();
    await client.untilClosed();
    const isRequest = bytes[0] !== 0x16;
    if (isRequest) assert.match(client.received, /^(HTTP\/1\.1 400 |$)/, replayHint);
    else if (client.received !== "") {
      tunnels++;
      assert.equal(client.received, bytes.toString("latin1"), replayHint);
    }
  };
  for (let count = 0; count < OPENINGS; count += TOGETHER) await Promise.all(Array.from({ length: TOGETHER }, open));
  assert.ok(tunnels > 0, replayHint);
  await stage.proxy.untilConnections(0);
  await echo.untilEmpty();
});
