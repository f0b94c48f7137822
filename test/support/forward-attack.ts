// A forward proxy that is attacked: what was sent, what came back, and the line of the access log that tells of it. What it must
// not reach is a server that notes who came.

import assert from "node:assert/strict";
import net from "node:net";
import { forwardConfig } from "./forward-stage.ts";
import { type AccessEntry, ProxyUnderTest } from "./proxy-under-test.ts";
import { type RawAnswer, RawClient } from "./raw-client.ts";

type Options = Readonly<Record<string, unknown>>;

/** On every port; to public addresses only, as without rules. */
export const EVERY_PORT = { name: "public", ports: "1-65535", connectPorts: "1-65535" };

export interface Attempt {
  readonly answer: RawAnswer;
  readonly line: AccessEntry;
}

export class AttackedProxy {
  readonly proxy: ProxyUnderTest;
  #lines = 0;

  private constructor(proxy: ProxyUnderTest) {
    this.proxy = proxy;
  }

  /** `forward` is the block, `more` stands beside it in the server, `top` in the file. */
  static async start(forward: Options = {}, more: Options = {}, top: Options = {}): Promise<AttackedProxy> {
    const config = forwardConfig({ allow: [EVERY_PORT], ...forward }, more);
    return new AttackedProxy(await ProxyUnderTest.start({ ...config, ...top, log: { access: {} } }));
  }

  get port(): number {
    return this.proxy.port("egress");
  }

  connect(): Promise<RawClient> {
    return RawClient.connect(this.port);
  }

  /** One answer to what is sent on a connection of its own, and the next line of the log. */
  async ask(bytes: string | Uint8Array): Promise<Attempt> {
    using client = await this.connect();
    const answer = await client.send(bytes).answer();
    return { answer, line: await this.nextLine() };
  }

  tunnel(authority: string, lines = ""): Promise<Attempt> {
    return this.ask(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n`);
  }

  get(url: string, lines = ""): Promise<Attempt> {
    const host = /^\w+:\/\/([^/?]*)/.exec(url)?.[1] ?? "";
    return this.ask(`GET ${url} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
  }

  /** The line behind those that were looked at. */
  async nextLine(): Promise<AccessEntry> {
    this.#lines++;
    return (await this.proxy.untilAccess(this.#lines))[this.#lines - 1]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    assert.equal(this.proxy.accessLines.length, this.#lines, "a line that nobody looked at");
  }
}

/** Refused with this status and this reason, or this beginning of a sentence; and the client learns no more than the status. */
export function assertRefused({ answer, line }: Attempt, status: number, reason: string | RegExp, what: string): void {
  assert.equal(answer.status, status, `${what}: ${JSON.stringify(line)}`);
  assert.equal(line.status, status, what);
  assert.ok(line.error !== undefined, what);
  if (typeof reason === "string") assert.equal(line.error.reason, reason, what);
  else assert.match(line.error.message, reason, what);
  assert.ok(!answer.body.includes(line.error.message), what);
  assert.equal(line.upstreamAddress, undefined, what);
}

/** Listens on one port of loopback addresses, answers nobody, and counts who came. */
export class Forbidden {
  readonly #servers: net.Server[] = [];
  connections = 0;
  port = 0;

  static async start(): Promise<Forbidden> {
    const forbidden = new Forbidden();
    // Where the port of one is taken on another address, others are tried.
    for (let attempt = 0; ; attempt++) {
      try {
        for (const host of ["127.0.0.1", "127.0.0.3"]) await forbidden.#listen(host);
        return forbidden;
      } catch (error) {
        await forbidden[Symbol.asyncDispose]();
        if (attempt === 5) throw error;
      }
    }
  }

  async #listen(host: string): Promise<void> {
    const server = net.createServer((socket) => {
      this.connections++;
      socket.on("error", () => {});
      socket.destroy();
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.port, host, resolve);
    });
    this.port = (server.address() as net.AddressInfo).port;
    this.#servers.push(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers
      .splice(0)
      .map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    this.port = 0;
    await Promise.all(closed);
  }
}
