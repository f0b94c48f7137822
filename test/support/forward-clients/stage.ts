// What programs that use a forward proxy need around them: the proxy, an origin over http and one over https, and names that only the
// proxy can resolve. A program that reaches an origin has therefore used the proxy.

import type http from "node:http";
import { Authority, issueCertificate } from "../certificates.ts";
import { DnsServer } from "../dns-server.ts";
import { TestFolder } from "../folder.ts";
import { ANYWHERE } from "../forward-stage.ts";
import { Origin } from "../origin.ts";
import { ProxyUnderTest } from "../proxy-under-test.ts";

type Options = Readonly<Record<string, unknown>>;

export interface StageOptions {
  /** Stands in the block `forward`; it may name files of the stage's folder. */
  readonly forward?: Options | ((folder: TestFolder) => Options);
  /** Stands beside `servers`. */
  readonly top?: (folder: TestFolder) => Options;
  /** Names that the origins have, all below `example`, besides origin.example. */
  readonly names?: readonly string[];
}

/** Of the origins' certificates, and of the proxy's own. */
const authority = new Authority("The World");

export class ForwardClientsStage {
  readonly folder: TestFolder;
  readonly http: Origin;
  readonly https: Origin;
  readonly proxy: ProxyUnderTest;
  readonly #dns: DnsServer;

  private constructor(
    parts: Pick<ForwardClientsStage, "http" | "https" | "proxy">,
    dns: DnsServer,
    folder: TestFolder,
  ) {
    this.http = parts.http;
    this.https = parts.https;
    this.proxy = parts.proxy;
    this.#dns = dns;
    this.folder = folder;
  }

  /** Both origins answer with `handler`. */
  static async start(handler: http.RequestListener, { forward = {}, names = [], top }: StageOptions = {}) {
    const folder = new TestFolder();
    const dns = await DnsServer.start((name, type) => ({
      addresses: type === "A" && name.endsWith(".example") ? ["127.0.0.1"] : [],
    }));
    const shown = issueCertificate({ names: ["origin.example", ...names], issuer: authority });
    const own = issueCertificate({ names: ["127.0.0.1"], issuer: authority });
    folder.write("world.pem", authority.cert);
    folder.write("own.pem", own.cert);
    folder.write("own.key", own.key);
    const tls = { certificates: [{ cert: folder.file("own.pem"), key: folder.file("own.key") }] };
    const proxy = await ProxyUnderTest.start({
      log: { access: { output: folder.file("access.log") } },
      ...top?.(folder),
      servers: {
        egress: {
          listen: ["127.0.0.1:0", { address: "127.0.0.1:0", tls }],
          forward: {
            allow: [{ name: "local", ...ANYWHERE }],
            dns: { servers: [dns.address] },
            tls: { ca: folder.file("world.pem") },
            ...(typeof forward === "function" ? forward(folder) : forward),
          },
        },
      },
    });
    const parts = { http: await Origin.start(handler), https: await Origin.start(handler, { tls: shown }), proxy };
    return new ForwardClientsStage(parts, dns, folder);
  }

  /** PEM file of the authority that the origins, and the proxy on its second port, have their certificates from. */
  get ca(): string {
    return this.folder.file("world.pem");
  }

  get proxyUrl(): string {
    return `http://127.0.0.1:${this.proxy.ports("egress")[0]}`;
  }

  /** The same over TLS. */
  get secureProxyUrl(): string {
    return `https://127.0.0.1:${this.proxy.ports("egress")[1]}`;
  }

  httpUrl(path: string, host = "origin.example"): string {
    return `http://${host}:${this.http.port}${path}`;
  }

  httpsUrl(path: string, host = "origin.example"): string {
    return `https://${host}:${this.https.port}${path}`;
  }

  /** As most programs read it. */
  get environment(): Readonly<Record<string, string>> {
    const { proxyUrl } = this;
    return { http_proxy: proxyUrl, https_proxy: proxyUrl, HTTP_PROXY: proxyUrl, HTTPS_PROXY: proxyUrl };
  }

  /** The lines of the access log, once the proxy has ended. */
  async logged(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    await this.proxy[Symbol.asyncDispose]();
    const lines = this.folder.read("access.log").trimEnd().split("\n");
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.http[Symbol.asyncDispose]();
    await this.https[Symbol.asyncDispose]();
    await this.#dns[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}
