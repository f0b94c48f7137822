/**
 * Connections of a pool that rest for one client's connection each, since a user was authenticated on them for good (NTLM): nobody
 * else may get what that user gets, and the requests of one handshake must come on one connection.
 *
 * It is not seen when a client leaves: what rests for it goes when it has rested too long, or when others need its place.
 */
import { FifoMap } from "../core/fifo-map.ts";
import type { ClientConnection } from "../pipeline/exchange.ts";
import type { Sender } from "../pipeline/upstream.ts";
import type { Http1Stream } from "./http1-stream.ts";

/** Of one pool. A browser makes six connections to one host. */
export const PINNED_MAX = 1_024;

export class PinnedStreams {
  /** Those that came last at the end. */
  readonly #streams = new FifoMap<ClientConnection, Http1Stream>();

  get size(): number {
    return this.#streams.size;
  }

  /** What rests for the client that this comes from. */
  take(sender: Sender): Http1Stream | null {
    if (this.#streams.size === 0) return null;
    const client = clientOf(sender);
    const stream = client === null ? undefined : this.#streams.get(client);
    if (stream === undefined) return null;
    this.#streams.delete(client!);
    stream.pin(false);
    return stream;
  }

  keep(stream: Http1Stream, restMs: number): void {
    const client = stream.boundTo;
    if (client === null || this.#streams.has(client)) return stream.close();
    if (this.#streams.size >= PINNED_MAX) this.closeOldest();
    stream.rest(restMs);
    stream.pin(true);
    this.#streams.set(client, stream);
  }

  /** It is gone. */
  forget(stream: Http1Stream): void {
    const client = stream.boundTo;
    if (client === null || this.#streams.get(client) !== stream) return;
    this.#streams.delete(client);
    stream.pin(false);
  }

  closeOldest(): void {
    const { oldest } = this.#streams;
    if (oldest !== undefined) this.#streams.get(oldest)!.close();
  }

  closeAll(): void {
    for (const [, stream] of [...this.#streams]) stream.close();
  }
}

/** The client's connection, if all that comes on it is one client's; one from a proxy that is trusted carries the requests of many. */
export function clientOf({ connection, clientAddress }: Sender): ClientConnection | null {
  if (connection?.forwardedLines === undefined) return null;
  return connection.remote.address === clientAddress ? connection : null;
}
