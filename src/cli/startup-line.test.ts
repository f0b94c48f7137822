// The start-up line names addresses in forms that can be pasted into a browser or a command.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../core/ports.ts";
import type { Listening } from "../server/listening-url.ts";
import { startupLine } from "./startup-line.ts";
import { version } from "./version.ts";

function listening(server: string, address: Address, isTls = false, protocol: Listening["protocol"] = "http") {
  return { server, address, isOfBothFamilies: address.address === "::", isTls, protocol };
}

test("says what listens where, server by server, and what it runs on", () => {
  const line = startupLine(
    [
      listening("web", { family: 4, address: "127.0.0.1", port: 8080 }),
      listening("web", { family: 6, address: "::", port: 8443 }, true),
      listening("other", { family: 6, address: "::1", port: 81 }),
      listening("other", { family: 4, address: "0.0.0.0", port: 82 }),
      { ...listening("other", { family: 6, address: "::", port: 83 }), isOfBothFamilies: false },
      listening("other", { family: 4, address: "127.0.0.1", port: 1080 }, false, "socks"),
      listening("other", { family: 6, address: "::", port: 3129 }, false, "redirected"),
      listening("local", { family: 0, address: "/run/web.sock", port: 0 }),
    ],
    { transport: "net", workers: 1 },
  );
  assert.equal(
    line,
    `headgate ${version}: web on http://127.0.0.1:8080, https://localhost:8443 (all addresses); ` +
      "other on http://[::1]:81, http://localhost:82 (all IPv4 addresses), http://[::1]:83 (all IPv6 addresses), socks5://127.0.0.1:1080, " +
      "[::]:3129 (redirected traffic); local on unix:/run/web.sock " +
      `(transport net, 1 worker, Node ${process.versions.node})`,
  );
});
