/**
 * The client connections of one listener group. What happens on each of them is that connection's own (http1-client.ts,
 * socks.ts); here they are counted, drained and closed together.
 */
import type { ProxyError } from "../../core/errors.ts";
import type { Connection } from "../../core/ports.ts";
import { proxyClosed } from "../faults.ts";
import type { ConnectionOrigin } from "../forwarding.ts";
import type { Site } from "../site.ts";
import { ClientHttp1 } from "./http1-client.ts";
import type { ClientOwner, ServedClient } from "./served-client.ts";

/** All client connections of one listener group: they share a site, and are drained together. */
export class Http1Driver implements ClientOwner {
  draining = false;
  #site: Site;
  readonly #connections = new Set<ServedClient>();
  /** Told when the last one has gone. */
  readonly #untilEmpty: (() => void)[] = [];

  constructor(site: Site) {
    this.#site = site;
  }

  get site(): Site {
    return this.#site;
  }

  set site(site: Site) {
    if (site === this.#site) return;
    this.#site = site;
    for (const client of this.#connections) client.siteChanged();
  }

  /** Takes a new connection that speaks HTTP/1.1; with an origin, all of its requests go there. */
  accept(connection: Connection, origin: ConnectionOrigin | null = null): void {
    this.add(new ClientHttp1(this, connection, origin));
  }

  /** Takes a client that speaks anything: from now on it is one of these. */
  protected add(client: ServedClient): void {
    this.#connections.add(client);
  }

  /** Takes a new connection whose request somebody else has read and cannot be served: answers, and closes behind it. */
  refuse(connection: Connection, error: ProxyError): void {
    const client = new ClientHttp1(this, connection, null);
    this.add(client);
    client.refuse(error);
  }

  /** Connections that exist, idle ones included; tunnels are counted until they end. */
  get size(): number {
    return this.#connections.size;
  }

  forget(client: ServedClient): void {
    this.#connections.delete(client);
    if (this.size === 0) for (const tell of this.#untilEmpty.splice(0)) tell();
  }

  /** Resolves when there is no connection. */
  async untilEmpty(): Promise<void> {
    if (this.size > 0) await new Promise<void>((resolve) => this.#untilEmpty.push(resolve));
  }

  /**
   * Closes what is idle, soon also those that have only just connected; what is busy says "Connection: close" and closes behind its
   * answer, or where the answer's head has left already, rests and is idle then.
   */
  drain(): void {
    this.draining = true;
    for (const client of this.#connections) client.drain();
  }

  /** Closes everything at once. */
  destroy(): void {
    // With an error: a tunnel of which the client had ended its half would otherwise take this for an orderly end.
    const error = proxyClosed();
    for (const client of this.#connections) client.destroy(error);
  }
}
