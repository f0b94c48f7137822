/**
 * SOCKS read and spoken on plain bytes, as drivers do it on connections: the bytes come in pieces, what is not used yet is
 * kept, and what happened is told as a list of plain events.
 */
import type { Address } from "../../src/core/ports.ts";
import type { SocksClient } from "../../src/protocol/socks/client.ts";
import * as errors from "../../src/protocol/socks/errors.ts";
import { type SocksAuthentication, SocksServer } from "../../src/protocol/socks/server.ts";

/** The name of an ERR_ code. */
export function socksErrorName(code: number): string {
  const found = Object.entries(errors).find(([name, value]) => name.startsWith("ERR_") && value === code);
  if (found === undefined) throw new RangeError(`not an error of SOCKS: ${code}`);
  return found[0];
}

export const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString("hex"));

const EMPTY = Buffer.alloc(0);

interface Receiver {
  readonly state: string;
  receive(buffer: Buffer, start: number, end: number): number;
}

/** Feeds the pieces, each between bytes that are not part of it. */
function feed(receiver: Receiver, pieces: readonly Uint8Array[], onMessage: () => void) {
  let held: Buffer = EMPTY;
  for (const piece of pieces) {
    held = Buffer.concat([held, piece]);
    for (;;) {
      const framed = Buffer.concat([Buffer.of(5, 0), held, Buffer.of(0, 2, 0)]);
      const used = receiver.receive(framed, 2, 2 + held.length);
      if (used < 0) return { error: socksErrorName(used), code: used, rest: EMPTY };
      if (used > held.length) throw new Error("used more than there was");
      if (used === 0) break;
      held = held.subarray(used);
      onMessage();
    }
  }
  return { error: null, code: 0, rest: held };
}

export const bytesOf = (whole: Uint8Array) => Array.from(whole, (byte) => Buffer.of(byte));

export interface ServedSocks {
  /** "sent 0500", "user ann:secret", "connect a.example:443", and at the end "refused ERR_COMMAND" or "incomplete". */
  readonly events: readonly string[];
  /** Bytes that belong to the tunnel, or that are not complete yet; none behind an error. */
  readonly rest: string;
}

/** A server that takes `password` for everybody's, and grants every request. */
export function serveSocks(
  pieces: readonly Uint8Array[],
  authentication: SocksAuthentication = "none",
  password = "secret",
  bound: Address | null = null,
): ServedSocks {
  const server = new SocksServer(authentication);
  const events: string[] = [];
  const { error, code, rest } = feed(server, pieces, () => {
    if (server.toSend !== null) events.push(`sent ${hex(server.toSend)}`);
    if (server.state === "verdict") {
      events.push(`user ${server.user}:${server.password}`);
      events.push(`sent ${hex(server.verdict(`${server.password}` === password))}`);
    } else if (server.state === "answer") {
      events.push(`connect ${server.authority}`, `sent ${hex(server.granted(bound))}`);
    }
  });
  if (error !== null) events.push(`refused ${error}`, `sent ${hex(server.refusal(code))}`);
  else if (server.state !== "answer") events.push(`incomplete ${server.state}`);
  return { events, rest: rest.toString("latin1") };
}

/** What a client sends and finds when it is answered with these bytes, whatever it says. */
export function runSocksClient(client: SocksClient, pieces: readonly Uint8Array[]): ServedSocks {
  const events = [`sent ${hex(client.toSend)}`];
  const { error, code, rest } = feed(client, pieces, () => {
    if (client.toSend !== null) events.push(`sent ${hex(client.toSend)}`);
    if (client.state === "connected") events.push("connected");
  });
  if (error !== null) events.push(`failed ${error}`, client.failure(code).message);
  else if (client.state !== "connected") events.push(`incomplete ${client.state}`);
  return { events, rest: rest.toString("latin1") };
}
