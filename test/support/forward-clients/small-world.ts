// A world of one site for what is run as a user would run it: a network namespace in which example.org has its public address, on
// this machine, with a web server on ports 80 and 443, and nothing else is reached. Only processes that are started in it see it.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Authority, issueCertificate } from "../certificates.ts";
import type { TestFolder } from "../folder.ts";
import { findCommand } from "../requirements.ts";

/** A public address: the proxy lets nobody to others unless a rule says so. */
const ADDRESS = "93.184.215.14";

const SITE = `
const { createServer } = require("node:http");
const secure = require("node:https");
const { readFileSync } = require("node:fs");
const [folder, address] = process.argv.slice(1);
const answer = (request, response) => response.end("example\\n");
const tls = { cert: readFileSync(folder + "/site.pem"), key: readFileSync(folder + "/site.key") };
createServer(answer).listen(80, address, () => secure.createServer(tls, answer).listen(443, address, () => console.log("ready")));
`;

/** All that runs in it ends with the command itself. */
const ENTER = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];

/** Why there can be none here; false: there can. For the `skip` option of node:test. */
export function needsSmallWorld(): false | string {
  if (findCommand("unshare") === null || findCommand("ip") === null) return "needs unshare and ip";
  const { status } = spawnSync("unshare", [...ENTER, "ip", "link", "set", "lo", "up"]);
  return status === 0 ? false : "needs the right to make a network namespace";
}

/** The command and its arguments that run a script of bash in such a world; the site ends with it. */
export function inSmallWorld(
  folder: TestFolder,
  script: string,
): { command: string; args: readonly string[]; ca: string } {
  const authority = new Authority("The World");
  const site = issueCertificate({ names: ["example.org", "*.example.org"], issuer: authority });
  const ca = folder.write("world.pem", authority.cert);
  folder.write("site.pem", site.cert);
  folder.write("site.key", site.key);
  folder.write("site.cjs", SITE);
  folder.write("hosts", `127.0.0.1 localhost\n${ADDRESS} example.org www.example.org\n`);
  const at = folder.path;
  const around = `set -e
ip link set lo up
# Served here, and no address of this machine: as far as the proxy can tell it is out in the world.
ip route add local ${ADDRESS}/32 dev lo
mount --bind '${at}/hosts' /etc/hosts
exec 3< <(exec '${process.execPath}' -e "$(cat '${at}/site.cjs')" '${at}' ${ADDRESS})
site=$!
trap 'kill $site' EXIT
read -r -u 3 ready
bash '${at}/script'
`;
  writeFileSync(folder.file("script"), script);
  return { command: "unshare", args: [...ENTER, "bash", "-c", around], ca };
}
