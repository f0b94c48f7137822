// A forward proxy with a transparent address, and where the system would say that each connection was headed: a test says it in the
// firewall's place, so that it needs no rights. What a real firewall does is looked at by test/integration/redirected-network.test.ts.

import net from "node:net";
import tls from "node:tls";
import type { Address, Connection } from "../../src/core/ports.ts";
import { DnsServer } from "./dns-server.ts";
import { TestFolder } from "./folder.ts";
import { ANYWHERE } from "./forward-stage.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { RawClient } from "./raw-client.ts";

type Options = Readonly<Record<string, unknown>>;
export type LogLine = Readonly<Record<string, unknown>>;

export class RedirectedStage implements AsyncDisposable {
  readonly proxy: ProxyUnderTest;
  readonly dns: DnsServer;
  readonly #folder: TestFolder;
  readonly #meant: { of: Address | null };
  readonly #configOf: (forward: Options, more: Options) => Options;

  private constructor(
    proxy: ProxyUnderTest,
    dns: DnsServer,
    folder: TestFolder,
    meant: { of: Address | null },
    configOf: (forward: Options, more: Options) => Options,
  ) {
    this.proxy = proxy;
    this.dns = dns;
    this.#folder = folder;
    this.#meant = meant;
    this.#configOf = configOf;
  }

  /** For a reload. */
  config(forward: Options = {}, more: Options = {}): Options {
    return this.#configOf(forward, more);
  }

  /** Names below `example` lead to 127.0.0.1, others to 192.0.2.1. `forward` and `more` are the block's and the server's. */
  static async start(forward: Options = {}, more: Options = {}): Promise<RedirectedStage> {
    const folder = new TestFolder();
    const dns = await DnsServer.start((name, type) => {
      return { addresses: type === "A" ? [name.endsWith("example") ? "127.0.0.1" : "192.0.2.1"] : [] };
    });
    const meant: { of: Address | null } = { of: null };
    const configOf = (forward: Options, more: Options): Options => ({
      log: { access: { output: folder.file("access.log") } },
      servers: {
        egress: {
          listen: { address: "127.0.0.1:0", transparent: true },
          forward: { allow: [ANYWHERE], dns: { servers: [dns.address] }, ...forward },
          ...more,
        },
      },
    });
    const proxy = await ProxyUnderTest.start(configOf(forward, more), ({ transport }) => {
      const listen = transport.listen.bind(transport);
      transport.listen = (options, onConnection) => {
        if (options.transparent !== true) return listen(options, onConnection);
        return listen({ ...options, transparent: false }, (connection) => {
          const redirected: { originalDestination?: Connection["originalDestination"] } = connection as object;
          Object.defineProperty(redirected, "originalDestination", { value: meant.of });
          onConnection(connection);
        });
      };
    });
    return new RedirectedStage(proxy, dns, folder, meant, configOf);
  }

  /** A connection that was headed for this port of 127.0.0.1; null: for the proxy itself. */
  async headedFor(port: number | null, address = "127.0.0.1"): Promise<RawClient> {
    this.#meant.of = port === null ? null : { family: net.isIPv6(address) ? 6 : 4, address, port };
    return await RawClient.connect(this.proxy.port("egress"));
  }

  /** The same with TLS on it: rejects when the handshake does not succeed. */
  async securedTo(port: number, serverName: string | null, ca: readonly string[]): Promise<tls.TLSSocket> {
    const client = await this.headedFor(port);
    client.socket.removeAllListeners("data");
    const name =
      serverName === null ? { host: "127.0.0.1", checkServerIdentity: () => undefined } : { servername: serverName };
    const socket = tls.connect({ socket: client.socket, ca: [...ca], ALPNProtocols: ["h2", "http/1.1"], ...name });
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed in the handshake")));
    });
    return socket;
  }

  /** Of the access log, once the proxy is closed. */
  async lines(): Promise<readonly LogLine[]> {
    await this.proxy[Symbol.asyncDispose]();
    const text = this.#folder.read("access.log").trim();
    return text === "" ? [] : text.split("\n").map((line) => JSON.parse(line) as LogLine);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.dns[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
