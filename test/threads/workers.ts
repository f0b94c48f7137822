// A process with two workers, and clients of either: a program's configuration answers with the number of the thread that
// serves, and does on request what kills a thread.

import http from "node:http";
import type { Status } from "../../src/server/control.ts";
import type { Running } from "../cli/headgate.ts";
import { RawClient, type Target } from "../support/raw-client.ts";

/** Connections that one worker would hardly get all of: the kernel chooses by the client's port. */
export const MANY = 32;

/** Answers with the thread's number; `fields` are further ones of the file. */
export function program(fields: string, body = '"thread " + threadId'): string {
  return `
import { threadId } from "node:worker_threads";
function handle(exchange) {
  const { path } = exchange.request;
  if (path === "/crash") setImmediate(() => { throw new Error("thrown in a timer"); });
  if (path === "/spin") setImmediate(() => { for (;;); });
  if (path === "/allocate") setImmediate(() => { for (const kept = [];;) { kept.push(new Array(1000)); if (kept.length > 100) kept.length = 0; } });
  if (path === "/exit") setImmediate(() => process.exit(3));
  if (path === "/fill") setImmediate(() => { for (const kept = [];;) kept.push({ a: Math.random(), b: [kept.length] }); });
  return exchange.respond({ status: 200, fields: [], body: Buffer.from(${body}) });
}
export default {
  workers: 2,
  log: { access: "off" },
  servers: { web: { listen: "127.0.0.1:0", handle } },
  ${fields}
};
`;
}

export function get(path = "/"): string {
  return `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
}

export async function bodyFrom(client: RawClient, path = "/"): Promise<string> {
  return (await client.send(get(path)).answer()).body;
}

/** What its admin address tells. */
export async function statusOf(running: Running): Promise<Status> {
  const line = running.entries.find(({ msg }) => msg.startsWith("admin on unix:"))?.msg ?? "";
  const socketPath = line.slice("admin on unix:".length);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const request = http.get({ socketPath, path: "/status", agent: false }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    response.on("end", () => resolve(text));
  });
  request.on("error", reject);
  return JSON.parse(await promise) as Status;
}

/** Connections, and what each was answered. */
export class Clients {
  readonly all: { readonly client: RawClient; readonly body: string }[] = [];

  static async connect(target: Target, count = MANY): Promise<Clients> {
    const clients = new Clients();
    for (let i = 0; i < count; i++) await clients.add(target);
    return clients;
  }

  async add(target: Target): Promise<string> {
    const client = await RawClient.connect(target);
    const body = await bodyFrom(client);
    this.all.push({ client, body });
    return body;
  }

  /** What was answered, each answer once. */
  get bodies(): readonly string[] {
    return [...new Set(this.all.map(({ body }) => body))].sort();
  }

  /** What each connection is answered now, each answer once. */
  async bodiesNow(): Promise<readonly string[]> {
    const bodies = new Set<string>();
    for (const { client } of this.all) bodies.add(await bodyFrom(client));
    return [...bodies].sort();
  }

  /** Those that were answered so, in the order in which they came. */
  of(body: string): readonly RawClient[] {
    return this.all.filter((item) => item.body === body).map(({ client }) => client);
  }

  [Symbol.dispose](): void {
    for (const { client } of this.all) client[Symbol.dispose]();
  }
}
