// What a real firewall redirects, with curl as the client: over IPv4 and IPv6, HTTP and HTTPS. It all happens in network namespaces
// that end with the process in them.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { isMissing, loadAddon } from "../../src/io/native/addon.ts";
import { findCommand } from "../support/requirements.ts";

const PROGRAM = path.join(import.meta.dirname, "..", "support", "redirected-network.ts");

/** For the `skip` option: not every machine may make namespaces, and no package would change that. */
function whyNot(): string | false {
  const addon = loadAddon();
  if (isMissing(addon)) return `skipped: needs the native addon (${addon.reason})`;
  const missing = ["ip", "nft", "unshare", "nsenter", "curl"].filter((command) => findCommand(command) === null);
  if (missing.length > 0) return `skipped: needs ${missing.join(" and ")}`;
  if (process.getuid?.() !== 0) return "skipped: needs root, for network namespaces";
  const rules =
    "add table inet t; add chain inet t o { type nat hook output priority -100; }; add rule inet t o redirect";
  const link = "ip link add lan0 type veth peer name wan0";
  const trial = ["--net", "sh", "-c", `${findCommand("nft")} '${rules}' && ${link}`];
  const { status, stderr } = spawnSync("unshare", trial, { encoding: "utf8" });
  return status === 0 ? false : `skipped: no network namespace with a firewall can be made: ${stderr.trim()}`;
}

interface Report {
  readonly got: Readonly<Record<string, { readonly exit: number; readonly text: string }>>;
  readonly log: readonly Readonly<Record<string, unknown>>[];
}

test("curl, whose traffic is redirected, gets what it asked for", { skip: whyNot(), timeout: 60_000 }, async () => {
  const args = ["--net", process.execPath, "--conditions=headgate-source", PROGRAM];
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const { stdout } = await promisify(execFile)("unshare", args, { env, timeout: 50_000 });
  const { got, log } = JSON.parse(stdout) as Report;
  const { deniedHttp, deniedHttps, loopedHttp, loopedHttps, direct, ...others } = got;
  const [ipv4, ipv6] = ["192.0.2.1", "2001:db8::1"];
  assert.deepEqual(others, {
    http: { exit: 0, text: `origin.example from ${ipv4} via a proxy (200)` },
    http6: { exit: 0, text: `origin.example from ${ipv6} via a proxy (200)` },
    otherHost: { exit: 0, text: `elsewhere.example from ${ipv4} via a proxy (200)` },
    https: { exit: 0, text: `origin.example from ${ipv4} via nobody (200)` },
    https6: { exit: 0, text: `origin.example from ${ipv6} via nobody (200)` },
    intercepted: { exit: 0, text: `opened.example from ${ipv4} via a proxy (200)` },
  });
  assert.match(deniedHttp!.text, /\(403\)$/);
  assert.notEqual(deniedHttps!.exit, 0);
  assert.match(loopedHttp!.text, /\(502\)$/);
  assert.notEqual(loopedHttps!.exit, 0);
  assert.match(direct!.text, /traffic that a firewall redirects[\s\S]*\(400\)$/);
  const line = ({ client, method, destination, status }: Report["log"][number]) =>
    `${client} ${method} ${destination} ${status}`;
  const looped = log.filter(({ error }) => JSON.stringify(error ?? "").includes("proxy_loop_detected"));
  assert.deepEqual(looped.map(({ method }) => method).toSorted(), ["CONNECT", "GET"]);
  assert.deepEqual(
    log
      .filter(({ destination }) => !`${destination}`.startsWith("192.0.2.99:"))
      .map(line)
      .toSorted(),
    [
      "10.77.0.2 - undefined 400",
      "10.77.0.2 CONNECT denied.example:443 403",
      "10.77.0.2 CONNECT opened.example:443 200",
      "10.77.0.2 CONNECT origin.example:443 200",
      "10.77.0.2 GET 192.0.2.2:80 200",
      "10.77.0.2 GET denied.example:80 403",
      "10.77.0.2 GET opened.example:443 200",
      "10.77.0.2 GET origin.example:80 200",
      "fd77::2 CONNECT origin.example:443 200",
      "fd77::2 GET origin.example:80 200",
    ],
  );
});
