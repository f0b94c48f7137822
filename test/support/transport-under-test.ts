// Which transport the contract suite runs on: the one that HEADGATE_TRANSPORT names, as everywhere, or the simulated network,
// which only test/simulation/transport-contract.test.ts asks for.

import { test } from "node:test";
import type { Clock } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { isMissing, loadAddon } from "../../src/io/native/addon.ts";
import { openTransport } from "../../src/io/open-transport.ts";
import type { Transport, TransportOptions } from "../../src/io/transport.ts";
import { SimulatedTransport } from "./simulated-transport.ts";

const isSimulated = process.env.HEADGATE_TRANSPORT === "simulated";
/** As native/test/driver.ts has it. */
const ownsThread = process.env.HEADGATE_TEST_OWNS_THREAD === "1";

export const transportUnderTest = isSimulated
  ? "simulated"
  : openTransport("auto", new SystemClock(), { ownsThread }).name;

export function openTransportUnderTest(clock: Clock, options: TransportOptions): Transport {
  return isSimulated ? new SimulatedTransport() : openTransport("auto", clock, { ownsThread, ...options });
}

/** Sockets that the addon holds for this thread; none where there is no addon. */
export function countAddonSockets(): number {
  if (transportUnderTest !== "native") return 0;
  const addon = loadAddon();
  return isMissing(addon) ? 0 : addon.inspect().sockets;
}

/** A test that needs sockets of the machine. */
export function testOnSockets(name: string, run: () => Promise<void>): void {
  if (!isSimulated) test(name, run);
}

/** A test of splices. io/net says that it cannot, and the caller copies: there is nothing to test. */
export function testSplicing(name: string, run: () => Promise<void>): void {
  if (transportUnderTest !== "net") test(name, run);
}

/** A test of what only the addon does, or of how it does it. */
export function testOnNative(name: string, run: () => Promise<void>, skip: false | string = false): void {
  if (transportUnderTest === "native") test(name, { skip }, run);
}
