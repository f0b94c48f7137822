// The main thread listens before any worker serves: who connects in between waits, and is answered.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { Folder, Running } from "../cli/headgate.ts";
import { freePort } from "../support/free-port.ts";
import { RawClient } from "../support/raw-client.ts";
import { transportUnderTest } from "../support/transport-under-test.ts";
import { bodyFrom, program } from "./workers.ts";

/** On Node's own sockets each worker listens for itself: the first thread only tries the address, for a moment. */
const skip = transportUnderTest === "native" ? false : "nobody waits there on node:net";

/** As soon as somebody listens. */
async function connected(port: number): Promise<RawClient> {
  for (;;) {
    const client = await RawClient.connect(port).catch(() => null);
    if (client !== null) return client;
    await turn();
  }
}

test("the first client of a process that starts", { skip, timeout: 60_000 }, async () => {
  using folder = new Folder();
  const port = await freePort();
  folder.file("headgate.ts", program("").replace("127.0.0.1:0", `127.0.0.1:${port}`));
  const starting = Running.start(folder.path, "run");
  using client = await connected(port);
  const body = await bodyFrom(client);
  await using _running = await starting;
  assert.match(body, /^thread \d/);
});
