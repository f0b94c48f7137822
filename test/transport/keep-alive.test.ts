// TCP keep-alive: the kernel probes a silent peer when it was asked to, on accepted and on dialled connections.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { Connection } from "../../src/core/ports.ts";
import { isMissing, loadAddon } from "../../src/io/native/addon.ts";
import { bindSocket } from "../../src/io/native/sockets.ts";
import { untilTrue } from "../support/soak-wait.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnNative } from "../support/transport-under-test.ts";

const TABLE = "/proc/net/tcp";
const ESTABLISHED = "01";

/** The kernel's timer of the connection from one local port to another: "00" none, "02" keep-alive (proc(5), net/tcp). */
function timerOf(localPort: number, remotePort: number): string | undefined {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, "0");
  for (const line of readFileSync(TABLE, "latin1").split("\n")) {
    const [, local, remote, state, , timer] = line.trim().split(/\s+/);
    if (local?.endsWith(`:${hex(localPort)}`) && remote?.endsWith(`:${hex(remotePort)}`) && state === ESTABLISHED) {
      return timer!.slice(0, 2);
    }
  }
  return undefined;
}

/** Until what was sent is acknowledged, another timer runs. */
function settlesOn(expected: string, { local, remote }: Connection): Promise<void> {
  const timer = () => timerOf(local.port, remote.port);
  return untilTrue(
    () => timer() === expected,
    () => `the timer is ${timer()}, not ${expected}`,
  );
}

testOnNative("of clients that had connected before anybody accepted", async () => {
  await using stage = new TransportStage({ keepAliveMs: 60_000 });
  const addon = loadAddon();
  assert.ok(!isMissing(addon));
  const { descriptor, address } = await bindSocket(addon, { host: "127.0.0.1", port: 0, path: null, tls: null });
  const early = await stage.dial({ port: address.port });
  const served = await stage.serve({ descriptor });
  const later = await stage.dial({ port: address.port });
  for (const near of [early, later]) {
    const far = await served.next();
    near.connection.writeLatin1("x");
    await far.untilText("x");
    await settlesOn("02", far.connection);
  }
  addon.closeDescriptor(descriptor);
});

for (const keepAliveMs of [undefined, 60_000]) {
  test(`${keepAliveMs === undefined ? "without" : "with"} keep-alive`, {
    skip: !existsSync(TABLE) && "skipped: needs Linux",
  }, async () => {
    await using stage = new TransportStage(keepAliveMs === undefined ? {} : { keepAliveMs });
    const { near, far } = await stage.pair();
    for (const from of [near, far]) {
      from.connection.writeLatin1("x");
      await (from === near ? far : near).untilText("x");
    }
    for (const { connection } of [near, far]) await settlesOn(keepAliveMs === undefined ? "00" : "02", connection);
  });
}
