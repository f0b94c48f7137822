// A process in a network namespace of its own, whose firewall redirects what goes to 192.0.2.1:80 and [2001:db8::1]:80 to the
// port of a listener here. It prints a line of JSON for each connection: the case, the original destination, and the same of
// the connection under TLS where that was put on it. test/transport/transparent.test.ts runs it.

import { execFileSync } from "node:child_process";
import net from "node:net";
import tls from "node:tls";
import type { Address, Connection, ConnectionHandler } from "../../src/core/ports.ts";
import { SystemClock } from "../../src/io/clock.ts";
import { openTransport } from "../../src/io/open-transport.ts";
import { NOTHING, serving, TIMEOUT_MS } from "./tls-layer-stage.ts";

const [, , ip = "", nft = ""] = process.argv;

function run(command: string, args: readonly string[], lines: readonly string[]): void {
  execFileSync(command, args, { input: lines.join("\n"), stdio: ["pipe", "ignore", "inherit"] });
}

const QUIET: ConnectionHandler = { onBytes() {}, onDrain() {}, onEnd() {}, onClose() {} };
const transport = openTransport("auto", new SystemClock());
let arrived = Promise.withResolvers<Connection>();

const listening = { port: 0, path: null, tls: null };
const accept = (connection: Connection): void => {
  connection.handler = QUIET;
  arrived.resolve(connection);
};
const transparent = await transport.listen({ ...listening, host: null, transparent: true }, accept);
const usual = await transport.listen({ ...listening, host: null }, accept);

run(
  ip,
  ["-batch", "-"],
  ["link set lo up", "address add 192.0.2.1/32 dev lo", "address add 2001:db8::1/128 dev lo nodad"],
);
const rules = [transparent, usual].flatMap(({ address }, index) => [
  `ip daddr 192.0.2.1 tcp dport ${80 + index} redirect to :${address.port}`,
  `ip6 daddr 2001:db8::1 tcp dport ${80 + index} redirect to :${address.port}`,
]);
const hook = "type nat hook output priority -100";
run(nft, ["-f", "-"], [`table inet redirecting { chain output { ${hook}; ${rules.join("; ")}; }; }`]);

async function originalOf(host: string, port: number, secure = false): Promise<(Address | null | undefined)[]> {
  arrived = Promise.withResolvers<Connection>();
  const client = net.connect({ host, port });
  client.on("error", (error) => {
    throw error;
  });
  const connection = await arrived.promise;
  const told = [connection.originalDestination];
  if (secure) {
    tls.connect({ socket: client, rejectUnauthorized: false }).on("error", () => {});
    const layered = await new Promise<Connection>((resolve, reject) => {
      const handler = {
        onConnected: (done: Connection): void => {
          done.handler = QUIET;
          resolve(done);
        },
        onFailed: reject,
      };
      transport.tls.serve(connection, NOTHING, serving, TIMEOUT_MS, handler);
    });
    told.push(layered.originalDestination);
  }
  return told;
}

const report = {
  ipv4: await originalOf("192.0.2.1", 80),
  ipv6: await originalOf("2001:db8::1", 80),
  tls: await originalOf("192.0.2.1", 80, true),
  direct: await originalOf("127.0.0.1", transparent.address.port),
  directIpv6: await originalOf("::1", transparent.address.port),
  notAsked: await originalOf("192.0.2.1", 81),
};
console.log(JSON.stringify(report));
process.exit(0);
