// A whole proxy in the test's process, made from a configuration as a file would have it. Its application log, and an access log
// that goes to no file, are kept for the test to look at, and what it holds at the end is counted, so that a leak fails the test.

import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Config } from "../../src/config/config.ts";
import { filesBeside } from "../../src/config/load.ts";
import { parseConfigObject } from "../../src/config/parse.ts";
import { formatProblem } from "../../src/config/problems.ts";
import { type AccessOutput, accessOutputs } from "../../src/server/access-output.ts";
import { createAppLog } from "../../src/server/app-log.ts";
import { ProxyServer } from "../../src/server/proxy.ts";
import { clock } from "../../src/server/surroundings.ts";

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

/** A line of the access log; of `json`, and with its default fields unless the test asks for others. */
export interface AccessEntry {
  readonly client: string;
  readonly user?: string;
  readonly method: string;
  readonly destination?: string;
  readonly rule?: string;
  readonly path?: string;
  readonly status: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly durationMs: number;
  readonly upstreamAddress?: string;
  readonly error?: { readonly type: string; readonly side: string; readonly reason?: string; readonly message: string };
}

export class ProxyUnderTest {
  readonly logged: LogEntry[] = [];
  /** The access log, unless it goes to a file; without the line breaks. */
  readonly accessLines: string[] = [];
  readonly server: ProxyServer;
  #changed = Promise.withResolvers<void>();

  private constructor() {
    const write = (line: string): void => {
      this.logged.push(JSON.parse(line) as LogEntry);
      this.#wake();
    };
    const log = createAppLog({ level: "info", isForPeople: false, write });
    const onFiles = accessOutputs(clock, log);
    this.server = new ProxyServer(log, {
      openAccessOutput: (config, current) => (config.output.kind === "file" ? onFiles(config, current) : this.#kept),
    });
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

  get accessEntries(): readonly AccessEntry[] {
    return this.accessLines.map((line) => JSON.parse(line) as AccessEntry);
  }

  /** The first lines of the access log, when there are so many. */
  async untilAccess(count: number): Promise<readonly AccessEntry[]> {
    while (this.accessLines.length < count) await this.#changed.promise;
    return this.accessEntries;
  }

  get #kept(): AccessOutput {
    const write = (text: string): void => {
      this.accessLines.push(text.trimEnd());
      this.#wake();
    };
    const writer = { write, reopen: async () => {}, close: async () => {}, flushSync: () => {} };
    return { identity: "kept by the test", writer };
  }

  /** Sockets are closed in a later turn of the loop than they are given up. */
  async untilConnections(count: number): Promise<void> {
    while (this.server.transport.openConnections !== count) await nextTurn();
  }

  #wake(): void {
    const { resolve } = this.#changed;
    this.#changed = Promise.withResolvers<void>();
    resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close(0);
    await this.untilConnections(0);
  }
}
