// Three network namespaces in a row: a client, a router whose firewall redirects the client's web traffic to a proxy on it, and an
// origin. This process is the router, in a namespace of its own; the others are those of its children, and all of it ends with the
// processes. It runs curl as the client, and prints one line of JSON: what each curl got, what the origin saw, and the proxy's log.
// test/integration/redirected-network.test.ts runs it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { codeBlocks } from "../packaging/markdown.ts";
import { Authority, issueCertificate } from "./certificates.ts";
import { DnsServer } from "./dns-server.ts";
import { TestFolder } from "./folder.ts";
import { internalAuthority } from "./interception-stage.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { findCommand } from "./requirements.ts";

const CLIENT = { ipv4: "10.77.0.2", ipv6: "fd77::2" };
const ROUTER = { ipv4: "10.77.0.1", ipv6: "fd77::1" };
const ORIGIN = { ipv4: "192.0.2.2", ipv6: "2001:db8::2" };
/** What this machine sends there is redirected as well, which is a mistake. */
const LOOPING = "192.0.2.99";
const PORT = 3129;
const ORIGIN_PROGRAM = path.join(import.meta.dirname, "redirected-origin.ts");

const DOCUMENT = path.join(import.meta.dirname, "../../docs/forward.md");
/** Those that the document names, and the mistake. */
const RULES = `${codeBlocks(readFileSync(DOCUMENT, "utf8"), "nft")[0]}
table inet mistaken {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${LOOPING} tcp dport { 80, 443 } redirect to :${PORT}
  }
}`;

function ip(...lines: readonly string[]): void {
  execFileSync(findCommand("ip")!, ["-batch", "-"], { input: lines.join("\n") });
}

function inside(pid: number): readonly string[] {
  return [`--net=/proc/${pid}/ns/net`];
}

/** A namespace that lasts as long as this process: what runs in it reads from us, and ends with us. */
async function makeNamespace(): Promise<number> {
  const child = spawn("unshare", ["--net", "sh", "-c", "echo ready; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.unref();
  (child.stdin as unknown as { unref(): void }).unref();
  (child.stdout as unknown as { unref(): void }).unref();
  return child.pid!;
}

function ipIn(pid: number, ...lines: readonly string[]): void {
  execFileSync("nsenter", [...inside(pid), findCommand("ip")!, "-batch", "-"], { input: lines.join("\n") });
}

function connect(client: number, origin: number): void {
  ip(
    "link set lo up",
    `link add lan0 type veth peer name eth0 netns ${client}`,
    `link add wan0 type veth peer name eth0 netns ${origin}`,
    `address add ${ROUTER.ipv4}/24 dev lan0`,
    `address add ${ROUTER.ipv6}/64 dev lan0 nodad`,
    "address add 192.0.2.1/24 dev wan0",
    "address add 2001:db8::1/64 dev wan0 nodad",
    "link set lan0 up",
    "link set wan0 up",
  );
  ipIn(
    client,
    `address add ${CLIENT.ipv4}/24 dev eth0`,
    `address add ${CLIENT.ipv6}/64 dev eth0 nodad`,
    "link set eth0 up",
    `route add default via ${ROUTER.ipv4}`,
    `route add ::/0 via ${ROUTER.ipv6}`,
  );
  ipIn(
    origin,
    `address add ${ORIGIN.ipv4}/24 dev eth0`,
    `address add ${ORIGIN.ipv6}/64 dev eth0 nodad`,
    "link set eth0 up",
  );
  execFileSync(findCommand("nft")!, ["-f", "-"], { input: RULES });
}

async function startOrigin(pid: number, cert: string, key: string): Promise<ChildProcess> {
  const program = [process.execPath, ORIGIN_PROGRAM, cert, key];
  const child = spawn("nsenter", [...inside(pid), ...program], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return child;
}

/** Its status and what it got; "-w" adds the status of HTTP. */
async function run(pid: number, args: readonly string[]): Promise<{ exit: number; text: string }> {
  const all = ["--silent", "--max-time", "30", "--noproxy", "*", "--write-out", " (%{http_code})", ...args];
  const child = spawn("nsenter", [...inside(pid), findCommand("curl")!, ...all], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const [exit] = (await once(child, "close")) as [number];
  return { exit, text };
}

async function beRouter(): Promise<void> {
  using folder = new TestFolder();
  const world = new Authority("The World");
  const inner = await internalAuthority();
  const issued = issueCertificate({ names: ["origin.example", "opened.example"], issuer: world });
  folder.write("world.pem", world.cert);
  const [client, origin] = [await makeNamespace(), await makeNamespace()];
  connect(client, origin);
  const serving = await startOrigin(origin, issued.cert, issued.key);
  await using dns = await DnsServer.start((name, type) => {
    const isOrigin = ["origin.example", "opened.example", "denied.example"].includes(name);
    const { ipv4, ipv6 } = isOrigin ? ORIGIN : { ipv4: "192.0.2.77", ipv6: "2001:db8::77" };
    return { addresses: [type === "A" ? ipv4 : ipv6] };
  });
  const proxy = await ProxyUnderTest.start({
    log: { access: { output: folder.file("access.log") } },
    servers: {
      egress: {
        listen: { address: `:${PORT}`, transparent: true },
        forward: {
          dns: { servers: [dns.address] },
          tls: { ca: folder.file("world.pem") },
          deny: [{ name: "denied", hosts: ["denied.example"] }],
          allow: [{ clients: ["10.77.0.0/24", "fd77::/64"], networks: ["192.0.2.0/24", "2001:db8::/32"] }],
          intercept: { hosts: ["opened.example"], ca: inner.folder.path, cache: inner.folder.file("leaves") },
        },
      },
    },
  });
  const curl = (host: string, scheme: string, address: string, ca: string) =>
    run(client, [
      "--resolve",
      `${host}:${scheme === "http" ? 80 : 443}:${address}`,
      "--cacert",
      ca,
      `${scheme}://${host}/`,
    ]);
  const [outer, inwards] = [folder.file("world.pem"), inner.folder.file("ca.pem")];
  const asked = {
    http: curl("origin.example", "http", ORIGIN.ipv4, outer),
    http6: curl("origin.example", "http", `[${ORIGIN.ipv6}]`, outer),
    otherHost: curl("elsewhere.example", "http", ORIGIN.ipv4, outer),
    https: curl("origin.example", "https", ORIGIN.ipv4, outer),
    https6: curl("origin.example", "https", `[${ORIGIN.ipv6}]`, outer),
    intercepted: curl("opened.example", "https", ORIGIN.ipv4, inwards),
    deniedHttp: curl("denied.example", "http", ORIGIN.ipv4, outer),
    deniedHttps: curl("denied.example", "https", ORIGIN.ipv4, outer),
    loopedHttp: curl("loop.example", "http", LOOPING, outer),
    loopedHttps: curl("loop.example", "https", LOOPING, outer),
    direct: run(client, [`http://${ROUTER.ipv4}:${PORT}/`]),
  };
  const got: Record<string, { exit: number; text: string }> = {};
  for (const [name, answer] of Object.entries(asked)) got[name] = await answer;
  await proxy[Symbol.asyncDispose]();
  serving.kill();
  const lines = folder.read("access.log").trim().split("\n");
  console.log(JSON.stringify({ got, log: lines.map((line) => JSON.parse(line) as unknown) }));
  inner.folder[Symbol.dispose]();
}

await beRouter();
