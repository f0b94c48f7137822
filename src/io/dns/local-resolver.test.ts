// A resolver of this machine that is away for some time (127.0.0.1 alone in resolv.conf): it is said of each name that nobody could be
// asked, and names resolve again as soon as it is back.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { TestFolder } from "../../../test/support/folder.ts";
import { findCommand } from "../../../test/support/requirements.ts";

const COMMANDS = ["unshare", "mount", "ip"];

function unable(): string | false {
  const missing = COMMANDS.filter((command) => findCommand(command) === null);
  if (missing.length > 0) return `skipped: needs ${missing.join(", ")}`;
  return spawnSync("unshare", ["-mn", "true"]).status === 0 ? false : "skipped: needs the right to make namespaces";
}

/** Runs where nothing but the loopback is. */
const PROGRAM = `
import { createSocket } from "node:dgram";
import { once } from "node:events";
const { DnsLookup } = await import(process.argv[1]);
const { SystemClock } = await import(process.argv[2]);
const { lookup } = new DnsLookup(new SystemClock());
const ask = (name) => new Promise((resolve) => lookup(name, (error, found) => resolve(error?.code ?? found[0].address)));
const away = [];
for (const name of ["a.test", "b.test", "c.test"]) away.push(await ask(name));
// The question with one answer: 192.0.2.1 to A, and nothing to AAAA.
const server = createSocket("udp4", (question, { port, address }) => {
  const isIpv4 = question[question.indexOf(0, 12) + 2] === 1;
  const answer = Buffer.concat([question.subarray(0, question.indexOf(0, 12) + 5)]);
  answer.writeUInt16BE(0x8180, 2);
  answer.writeUInt16BE(isIpv4 ? 1 : 0, 6);
  answer.writeUInt32BE(0, 8);
  const record = Buffer.from("c00c00010001000000050004c0000201", "hex");
  server.send(isIpv4 ? Buffer.concat([answer, record]) : answer, port, address);
});
server.bind(53, "127.0.0.1");
await once(server, "listening");
const back = await ask("d.test");
server.close();
console.log(JSON.stringify({ away, back }));
`;

test("names resolve as soon as a resolver at 127.0.0.1 is back", { skip: unable() }, async () => {
  using folder = new TestFolder();
  const servers = folder.write("resolv.conf", "nameserver 127.0.0.1\n");
  const inside = 'ip link set lo up; mount --bind "$1" /etc/resolv.conf; shift; exec "$@"';
  const node = [process.execPath, "--conditions=headgate-source", "--input-type=module", "--eval", PROGRAM];
  const modules = ["lookup.ts", "../clock.ts"].map((name) => import.meta.resolve(`./${name}`));
  const { stdout } = await promisify(execFile)(
    "unshare",
    ["-mn", "sh", "-c", inside, "sh", servers, ...node, "--", ...modules],
    { timeout: 60_000 },
  );
  const refused = "ECONNREFUSED";
  assert.deepEqual(JSON.parse(stdout), { away: [refused, refused, refused], back: "192.0.2.1" });
});
