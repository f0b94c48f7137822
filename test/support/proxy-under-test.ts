// A whole proxy in the test's process, made from a configuration as a file would have it. Its application log is kept for
// the test to look at, and what it holds at the end is counted, so that a leak fails the test.

import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Config } from "../../src/config/config.ts";
import { filesBeside } from "../../src/config/load.ts";
import { parseConfigObject } from "../../src/config/parse.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { createAppLog } from "../../src/server/app-log.ts";
import { ProxyServer } from "../../src/server/proxy.ts";

/** A configuration from what a file would say; without `log` nothing goes to the output of the tests. */
export function configOf(value: Readonly<Record<string, unknown>>): Config {
  const result = parseConfigObject({ log: { access: "off" }, ...value }, { file: "test", files: filesBeside("test") });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  return result.config;
}

export interface LogEntry {
  readonly level: string;
  readonly msg: string;
  readonly err?: { readonly message: string; readonly stack: string };
}

export class ProxyUnderTest {
  readonly logged: LogEntry[] = [];
  readonly server: ProxyServer;
  #changed = Promise.withResolvers<void>();

  private constructor() {
    const write = (line: string): void => {
      this.logged.push(JSON.parse(line) as LogEntry);
      const { resolve } = this.#changed;
      this.#changed = Promise.withResolvers<void>();
      resolve();
    };
    this.server = new ProxyServer(createAppLog({ level: "info", isForPeople: false, write }));
  }

  /** Rejects as the proxy does. `prepare`: before anything is opened. */
  static async start(
    value: Readonly<Record<string, unknown>>,
    prepare: (server: ProxyServer) => void = () => {},
  ): Promise<ProxyUnderTest> {
    const test = new ProxyUnderTest();
    prepare(test.server);
    await test.server.load(configOf(value));
    await test.server.listen();
    return test;
  }

  reload(value: Readonly<Record<string, unknown>>): Promise<void> {
    return this.server.load(configOf(value));
  }

  /** The ports of a server, in the order of its `listen`. */
  ports(server: string): readonly number[] {
    return this.server.listening.filter((item) => item.server === server).map(({ address }) => address.port);
  }

  port(server: string): number {
    const [port] = this.ports(server);
    assert.ok(port !== undefined, `${server} does not listen`);
    return port;
  }

  async untilLogged(text: string): Promise<LogEntry> {
    for (;;) {
      const entry = this.logged.find(({ msg }) => msg.includes(text));
      if (entry !== undefined) return entry;
      await this.#changed.promise;
    }
  }

  /** Sockets are closed in a later turn of the loop than they are given up. */
  async untilConnections(count: number): Promise<void> {
    while (this.server.transport.openConnections !== count) await nextTurn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close(0);
    await this.untilConnections(0);
  }
}
