/** A client's connection and those that it belongs to, as they know each other: whatever protocol it speaks. */
import type { ProxyError } from "../../core/errors.ts";
import type { Connection } from "../../core/ports.ts";
import type { ConnectionOrigin } from "../forwarding.ts";
import type { Site } from "../site.ts";

/** A client's connection, as those know it that it is one of. */
export interface ServedClient {
  /**
   * Closes it where it is idle; otherwise it ends behind what is under way. One that is new may ask once, if it does so soon: its
   * request may be under way.
   */
  drain(): void;
  /** The owner has another site. What came out of a tunnel that the one before let in leaves as soon as nobody is waiting for an answer. */
  siteChanged(): void;
  /** Closes it at once. */
  destroy(error: ProxyError): void;
}

/** The connections that this one belongs to. */
export interface ClientOwner {
  /** For requests to come. */
  readonly site: Site;
  /** No request is taken any more behind those that have come. */
  readonly draining: boolean;
  forget(client: ServedClient): void;
  /** Takes a new connection, all of whose requests go to `origin`. */
  accept(connection: Connection, origin: ConnectionOrigin): void;
}
