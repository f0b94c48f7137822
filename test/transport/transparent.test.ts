// Redirected traffic: where a client had meant to go is known of connections that the firewall sent to a listener which asks,
// and of no other. The firewall is that of a network namespace, which ends with the process in it.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { SystemClock } from "../../src/io/clock.ts";
import { isMissing, loadAddon } from "../../src/io/native/addon.ts";
import { NetTransport } from "../../src/io/net/transport.ts";
import { findCommand } from "../support/requirements.ts";

const PROGRAM = path.join(import.meta.dirname, "..", "support", "transparent-listener.ts");

/** For the `skip` option: not every machine may make namespaces, and no package would change that. */
function whyNot(): string | false {
  const addon = loadAddon();
  if (isMissing(addon)) return `skipped: needs the native addon (${addon.reason})`;
  const missing = ["ip", "nft", "unshare"].filter((command) => findCommand(command) === null);
  if (missing.length > 0) return `skipped: needs ${missing.join(" and ")}`;
  if (process.getuid?.() !== 0) return "skipped: needs root, for a network namespace";
  const trial =
    "add table inet t; add chain inet t o { type nat hook output priority -100; }; add rule inet t o redirect";
  const { status, stderr } = spawnSync("unshare", ["--net", findCommand("nft")!, trial], { encoding: "utf8" });
  return status === 0 ? false : `skipped: no network namespace with a firewall can be made: ${stderr.trim()}`;
}

test("connections that were redirected know where their client had meant to go", { skip: whyNot() }, () => {
  const args = [
    "--net",
    process.execPath,
    "--conditions=headgate-source",
    PROGRAM,
    findCommand("ip")!,
    findCommand("nft")!,
  ];
  const said = execFileSync("unshare", args, {
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    timeout: 120_000,
  });
  const ipv4 = { family: 4, address: "192.0.2.1", port: 80 };
  assert.deepEqual(JSON.parse(said), {
    ipv4: [ipv4],
    ipv6: [{ family: 6, address: "2001:db8::1", port: 80 }],
    tls: [ipv4, ipv4],
    direct: [null],
    directIpv6: [null],
    notAsked: [null],
  });
});

test("without the addon nobody can say: the listener is refused", async () => {
  const transport = new NetTransport(new SystemClock());
  const options = { host: "127.0.0.1", port: 0, path: null, tls: null, transparent: true };
  await assert.rejects(
    transport.listen(options, () => assert.fail("it accepted")),
    {
      name: "ListenError",
      code: "ENOTSUP",
      message:
        /^cannot listen on 127\.0\.0\.1:0: only the native addon can tell where redirected connections had meant to go/,
    },
  );
});
