// A table that is closed while a key is asked for: whatever the answer is, no node is opened behind it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { type ClusterNode, ClusterTable, type TcpAddress } from "./cluster-table.ts";
import { type Redirect, RedisFailure } from "./failure.ts";
import { SLOTS } from "./slots.ts";

class Node implements ClusterNode {
  readonly isReady = true;
  readonly port: number;
  isClosed = false;

  constructor(port: number) {
    this.port = port;
  }

  start(): void {}

  send(): Promise<unknown[]> {
    return Promise.resolve([[[0, SLOTS - 1, ["127.0.0.1", 7001]]]]);
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}

for (const kind of ["MOVED", "ASK"] as const) {
  for (const isClosedBefore of [true, false]) {
    test(`${kind} ${isClosedBefore ? "behind the end" : "before it"}: every node that was opened is closed`, async () => {
      const opened: Node[] = [];
      const table = new ClusterTable<Node>([{ host: "127.0.0.1", port: 7000 } as TcpAddress], {
        clock: new VirtualClock(),
        open: ({ port }) => {
          const node = new Node(port);
          opened.push(node);
          return node;
        },
        onAway: assert.fail,
        onBack: assert.fail,
        unavailable: (cause) => cause,
      });
      const redirect: Redirect = { kind, host: "127.0.0.1", port: 7002 };
      const asked: number[] = [];
      const asking = table.on("key", async ({ port }) => {
        asked.push(port);
        if (port === 7002) return "found";
        if (isClosedBefore) await table.close();
        throw new RedisFailure("it is elsewhere", kind, redirect);
      });
      if (isClosedBefore) await assert.rejects(asking, RedisFailure);
      else assert.equal(await asking, "found");
      assert.deepEqual(asked, isClosedBefore ? [7001] : [7001, 7002]);
      await table.close();
      assert.deepEqual(
        opened.filter(({ isClosed }) => !isClosed).map(({ port }) => port),
        [],
      );
    });
  }
}
