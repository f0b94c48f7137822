// A port that somebody else has: the message says where in the configuration it was asked for, whichever transport found out.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { Folder, headgate } from "./headgate.ts";

/** Runs in a folder that has this headgate.yaml. */
function runWith(yaml: string) {
  using folder = new Folder();
  folder.file("headgate.yaml", yaml);
  return headgate(folder.path, "run");
}

test("a port in use: where it was asked for", async () => {
  const taken = net.createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address() as net.AddressInfo;
  try {
    const message = `cannot listen on 127.0.0.1:${port}: the port is already in use`;
    const short = runWith(`servers:\n  web: { listen: "127.0.0.1:${port}", respond: 204 }\n`);
    assert.equal(short.stderr, `headgate.yaml:2:18: servers.web.listen: ${message}\n`);
    assert.deepEqual([short.status, short.stdout], [1, ""]);
    const list = `servers:\n  web:\n    listen:\n      - "127.0.0.1:0"\n      - "127.0.0.1:${port}"\n    respond: 204\n`;
    const long = runWith(list);
    assert.equal(long.stderr, `headgate.yaml:5:9: servers.web.listen[1]: ${message}\n`);
    using folder = new Folder();
    const flags = headgate(folder.path, "proxy", "--listen", `127.0.0.1:${port}`, "--to", "http://127.0.0.1:3000");
    assert.equal(flags.stderr, `${message}\n`);
    assert.equal(flags.status, 1);
  } finally {
    taken.close();
  }
});
