// A forward proxy that intercepts: an internal CA in a folder, an origin with a certificate of another authority, and names that
// lead to this machine.

import { writeFileSync } from "node:fs";
import type http from "node:http";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { makeAuthority } from "../../src/forward/interception/new-authority.ts";
import { Authority, type CertificateOptions, issueCertificate } from "./certificates.ts";
import { DnsServer } from "./dns-server.ts";
import { TestFolder } from "./folder.ts";
import { ANYWHERE, connectThrough } from "./forward-stage.ts";
import { Origin } from "./origin.ts";
import { ProxyUnderTest } from "./proxy-under-test.ts";
import { RawClient } from "./raw-client.ts";

type Options = Readonly<Record<string, unknown>>;

/** Whom origins have their certificates from. */
export const authority = new Authority("The World");

/** Where what a client sends ahead is cut. */
type Cut = "none" | "in the head" | "in the ClientHello" | "everywhere";

export interface InterceptionStage extends AsyncDisposable {
  readonly folder: TestFolder;
  readonly dns: DnsServer;
  readonly origin: Origin;
  readonly proxy: ProxyUnderTest;
  readonly port: number;
  /** PEM text of the internal CA. */
  readonly ca: string;
  /** TLS inside a tunnel to `authority`; `trusted` are the authorities of the client, `lines` further ones of its CONNECT. */
  secured(
    authority: string,
    serverName: string | null,
    trusted?: readonly string[],
    lines?: string,
  ): Promise<tls.TLSSocket>;
  /** The same for origin.example, without waiting for an answer to CONNECT: its head and the ClientHello in pieces. */
  inPieces(authority: string, cut: Cut): Promise<tls.TLSSocket>;
}

/** An internal CA in a folder, as `headgate ca init` makes one; `cert` is its PEM text. */
export async function internalAuthority(
  certified: readonly string[] = [],
): Promise<{ readonly folder: TestFolder; readonly cert: string }> {
  const folder = new TestFolder();
  const made = await makeAuthority(
    { name: "Inner", lifeMs: 3_600_000 * 24 * 30, hosts: certified, networks: [] },
    Date.now(),
  );
  writeFileSync(folder.file("ca.pem"), made.cert);
  writeFileSync(folder.file("ca.key"), made.key, { mode: 0o600 });
  return { folder, cert: made.cert };
}

/** `certificate` says what the origin shows; `certified` bounds the CA; `forward` is what the block has besides. */
export async function interceptionStage(
  handler: http.RequestListener,
  {
    certificate = { names: ["origin.example"], issuer: authority } as CertificateOptions,
    forward = {} as Options,
    hosts = ["*.example"] as readonly string[],
    certified = [] as readonly string[],
    trustedProxies = [] as readonly string[],
    listen = "127.0.0.1:0" as unknown,
    log = undefined as Options | undefined,
  } = {},
): Promise<InterceptionStage> {
  const { folder, cert } = await internalAuthority(certified);
  folder.write("world.pem", authority.cert);
  const dns = await DnsServer.start((_name, type) => ({ addresses: type === "A" ? ["127.0.0.1"] : [] }));
  const origin = await Origin.start(handler, { tls: issueCertificate(certificate) });
  const proxy = await ProxyUnderTest.start({
    trustedProxies,
    ...(log !== undefined && { log }),
    servers: {
      egress: {
        listen,
        forward: {
          allow: [ANYWHERE],
          dns: { servers: [dns.address] },
          tls: { ca: folder.file("world.pem") },
          intercept: {
            hosts,
            except: ["bank.example"],
            ports: "1-65535",
            ca: folder.path,
            cache: folder.file("leaves"),
          },
          ...forward,
        },
      },
    },
  });
  const port = proxy.port("egress");
  return {
    folder,
    dns,
    origin,
    proxy,
    port,
    ca: cert,
    async secured(to, serverName, trusted = [cert, authority.cert], lines = "") {
      const { client, status } = await connectThrough(port, to, lines);
      if (status !== 200) throw new Error(`CONNECT: ${status}`);
      client.socket.removeAllListeners("data");
      const socket = tls.connect({
        socket: client.socket,
        ca: [...trusted],
        ALPNProtocols: ["h2", "http/1.1"],
        ...(serverName === null
          ? { host: "origin.example", checkServerIdentity: () => undefined }
          : { servername: serverName }),
      });
      await new Promise<void>((resolve, reject) => {
        socket.once("secureConnect", resolve);
        socket.once("error", reject);
        socket.once("close", () => reject(new Error("closed in the handshake")));
      });
      return socket;
    },
    async inPieces(to, cut) {
      const { promise: started, resolve: start } = Promise.withResolvers<Buffer>();
      const wire = await RawClient.connect(port);
      wire.socket.removeAllListeners("data");
      // Between TLS and the socket: the ClientHello waits for the head, and the answer to CONNECT does not reach TLS.
      let isBegun = false;
      const between = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          if (isBegun) wire.socket.write(chunk);
          else start(chunk);
          done();
        },
      });
      const socket = tls.connect({ socket: between, ca: [cert], servername: "origin.example" });
      const secured = new Promise<void>((resolve, reject) =>
        socket.once("secureConnect", resolve).once("error", reject),
      );
      const head = Buffer.from(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
      const whole = Buffer.concat([head, await started]);
      isBegun = true;
      let answered: Buffer | null = Buffer.alloc(0);
      wire.socket.on("data", (chunk: Buffer) => {
        if (answered === null) return void between.push(chunk);
        answered = Buffer.concat([answered, chunk]);
        const headEnd = answered.indexOf("\r\n\r\n");
        if (headEnd < 0) return;
        if (headEnd + 4 < answered.length) between.push(answered.subarray(headEnd + 4));
        answered = null;
      });
      wire.socket.on("close", () => between.push(null));
      for (const piece of piecesOf(whole, head.length, cut)) {
        wire.socket.write(piece);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await secured;
      return socket;
    },
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
      await dns[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

function piecesOf(whole: Buffer, headBytes: number, cut: Cut): readonly Buffer[] {
  if (cut === "everywhere") return Array.from(whole, (_byte, index) => whole.subarray(index, index + 1));
  const at = cut === "none" ? 0 : cut === "in the head" ? headBytes - 7 : headBytes + 7;
  return at === 0 ? [whole] : [whole.subarray(0, at), whole.subarray(at)];
}

/** One request and its whole answer, as text; the connection is closed behind it. */
export async function askOn(socket: tls.TLSSocket, host: string, lines = ""): Promise<string> {
  socket.write(`GET /a HTTP/1.1\r\nHost: ${host}\r\n${lines}Connection: close\r\n\r\n`);
  let text = "";
  for await (const chunk of socket) text += (chunk as Buffer).toString("latin1");
  return text;
}
