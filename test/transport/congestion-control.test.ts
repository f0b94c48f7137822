// What the native transport does about congestion on the loopback, where there is none: no socket there paces what it sends.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import os from "node:os";
import type { Connection } from "../../src/core/ports.ts";
import { findCommand, needs } from "../support/requirements.ts";
import { TransportStage } from "../support/transport-stage.ts";
import { testOnNative } from "../support/transport-under-test.ts";

/** The name of the algorithm, as the kernel tells it of the socket of this end. */
function algorithmOf({ local, remote }: Connection): string | undefined {
  const filter = `sport = :${local.port} and dport = :${remote.port}`;
  const told = execFileSync(findCommand("ss")!, ["-tinH", filter], { encoding: "utf8" });
  return /(\S+) wscale:/.exec(told)?.[1];
}

/** Of this machine, for sockets that nobody has said anything about. */
function defaultAlgorithm(): string {
  return readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "latin1").trim();
}

/** `ss` comes with `ip`. */
const skip = needs("ip");
const hasIpv6 = Object.values(os.networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

for (const host of hasIpv6 ? ["127.0.0.1", "127.0.0.2", "::1"] : ["127.0.0.1", "127.0.0.2"]) {
  testOnNative(
    `between sockets of ${host}`,
    async () => {
      await using stage = new TransportStage();
      const served = await stage.serve({ host });
      const near = await stage.dial({ host, port: served.port });
      const far = await served.next();
      assert.deepEqual([algorithmOf(near.connection), algorithmOf(far.connection)], ["reno", "reno"]);
    },
    skip,
  );
}

testOnNative(
  "clients of a listener for every address have the machine's default",
  async () => {
    await using stage = new TransportStage();
    const served = await stage.serve({ host: "0.0.0.0" });
    await stage.dial({ port: served.port });
    const far = await served.next();
    assert.equal(algorithmOf(far.connection), defaultAlgorithm());
  },
  skip,
);
