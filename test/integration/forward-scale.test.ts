// The forward proxy as an operator runs it, with thousands of tunnels: its memory, and nothing left of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inCrowds, LoadTunnel } from "../support/forward-load.ts";
import { ANYWHERE, EchoServer } from "../support/forward-stage.ts";
import { needsProc, ProxyProcess } from "../support/soak-process.ts";
import { untilTrue } from "../support/soak-wait.ts";

const MiB = 1024 * 1024;
const TUNNELS = 2_000;
const TUNNEL_BYTES = 32 * 1024;
/**
 * By which the whole program grows, two workers and the tunnels of 2,000 clients. What it has at the start is that of the sources, which
 * are compiled here and not in a package. Node's own sockets cost several times as much.
 */
const GROWTH_BYTES_MAX = 64 * MiB;
const WARM_TUNNELS = 100;
const SHORT_TUNNELS = 10_000;
/** Some 20 s; where others have the processors too, most of a minute. */
const OPTIONS = { timeout: 150_000, skip: needsProc };

const mebibytes = (bytes: number): string => `${(bytes / MiB).toFixed(1)} MiB`;

test("2,000 tunnels at the same time, all of which move bytes, and 10,000 short ones", OPTIONS, async (context) => {
  await using echo = await EchoServer.start();
  await using proxy = await ProxyProcess.start({ forward: { allow: [ANYWHERE], tunnelsPerClient: TUNNELS } }, "auto");
  const atStart = proxy.residentBytes;
  // What each worker opens once and keeps. Which worker gets a connection is chance: of so many, each gets some.
  const warm = await inCrowds(WARM_TUNNELS, () => LoadTunnel.open(proxy.port, echo.authority));
  await Promise.all(warm.map((tunnel) => tunnel.close()));
  await proxy.untilConnections(0);
  const descriptors = proxy.descriptors;

  let begunMs = performance.now();
  const tunnels = await inCrowds(TUNNELS, () => LoadTunnel.open(proxy.port, echo.authority));
  const opened = proxy.residentBytes;
  await Promise.all(tunnels.map((tunnel) => tunnel.move(TUNNEL_BYTES)));
  const { residentBytes, residentBytesMax } = proxy;
  context.diagnostic(
    `${TUNNELS} tunnels: resident ${mebibytes(atStart)} at the start, ${mebibytes(opened)} when they are open, ` +
      `${mebibytes(residentBytes)} when each has moved ${TUNNEL_BYTES / 1024} KiB both ways, ` +
      `${mebibytes(residentBytesMax)} at most; ${proxy.descriptors} descriptors; ` +
      `${Math.round(performance.now() - begunMs)} ms`,
  );
  assert.equal(proxy.connections, 2 * TUNNELS);
  const isNative = /transport native/.test(proxy.program.output);
  if (isNative) assert.ok(residentBytesMax - atStart < GROWTH_BYTES_MAX, mebibytes(residentBytesMax - atStart));
  await Promise.all(tunnels.map((tunnel) => tunnel.close()));
  await proxy.untilConnections(0);

  begunMs = performance.now();
  await inCrowds(SHORT_TUNNELS, async () => {
    const tunnel = await LoadTunnel.open(proxy.port, echo.authority);
    await tunnel.move(10);
    await tunnel.close();
  });
  await proxy.untilConnections(0);
  await untilTrue(
    () => proxy.descriptors <= descriptors,
    () => `${proxy.descriptors} descriptors, ${descriptors} before`,
  );
  context.diagnostic(
    `${SHORT_TUNNELS} short tunnels in ${Math.round(performance.now() - begunMs)} ms: ` +
      `${proxy.descriptors} descriptors, ${descriptors} before; resident ${mebibytes(proxy.residentBytes)}`,
  );
  await proxy.stop();
});
