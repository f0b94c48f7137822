/**
 * Where the master of a group is, as the sentinels say: they are asked one after the other until one knows, anew for every
 * connection. A connection that ends because another server became the master is then made to that one.
 */
import { createClient } from "redis";
import { failureOf, RedisFailure } from "./failure.ts";
import type { RedisAddress, RedisTls } from "./link.ts";
import { tlsOptions } from "./link.ts";

export interface SentinelOptions {
  readonly name: string;
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly username: string | null;
  readonly password: string | null;
}

/** Rejects with a RedisFailure when none of them knows. */
export async function masterAddress(
  sentinels: SentinelOptions,
  tls: RedisTls | null,
  timeoutMs: number,
): Promise<RedisAddress> {
  let failure = new RedisFailure("no sentinel can be asked");
  for (const node of sentinels.nodes) {
    try {
      const answer = await ask(node, sentinels, tls, timeoutMs / sentinels.nodes.length);
      if (answer !== null) return answer;
      failure = new RedisFailure("the sentinels know no master by this name");
    } catch (error) {
      failure = new RedisFailure(`no sentinel can be asked: ${failureOf(error).message}`);
    }
  }
  throw failure;
}

async function ask(
  address: { readonly host: string; readonly port: number },
  { name, username, password }: SentinelOptions,
  tls: RedisTls | null,
  timeoutMs: number,
): Promise<RedisAddress | null> {
  const secure = tls === null ? {} : { tls: true as const, ...tlsOptions(tls) };
  const client = createClient({
    socket: { connectTimeout: timeoutMs, reconnectStrategy: false, ...address, ...secure },
    ...(username !== null && { username }),
    ...(password !== null && { password }),
    commandOptions: { timeout: 0 },
    disableClientInfo: true,
    maintNotifications: "disabled",
  });
  client.on("error", () => {});
  // One that connects and says nothing is given up like one that is away.
  const silence = setTimeout(() => client.destroy(), timeoutMs);
  try {
    await client.connect();
    const answer = await client.sendCommand(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name]);
    if (!Array.isArray(answer) || answer.length !== 2) return null;
    return { host: String(answer[0]), port: Number(answer[1]) };
  } finally {
    clearTimeout(silence);
    client.destroy();
  }
}
