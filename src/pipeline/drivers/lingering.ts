/**
 * A client's connection on which everything has been said. Our side is ended, and what still comes is read for a while and thrown
 * away, so that a reset does not overtake the last answer (RFC 9112 section 9.6). What is queued leaves as slowly as the client
 * reads; the while begins when all of it is gone. Whoever had the connection gives it up, and is only told when it is closed.
 */
import { Deadline, type DeadlineWheel } from "../../core/deadlines.ts";
import { BODY_PROGRESS_TIMEOUT_MS, LINGER_MS_MAX, LINGER_TIMEOUT_MS } from "../../core/limits.ts";
import type { Connection, ConnectionHandler } from "../../core/ports.ts";

/**
 * From here on the connection is in these hands. `onGone` is called once, when it is closed. `peerIsDone`: its end need not be waited
 * for.
 */
export function linger(connection: Connection, deadlines: DeadlineWheel, onGone: () => void, peerIsDone = false): void {
  connection.handler = new Lingering(connection, deadlines, onGone);
  connection.end(peerIsDone);
  connection.resume();
}

class Lingering implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #deadline: Deadline;
  readonly #onGone: () => void;
  /** Something has come since it was looked at last. */
  #isSending = false;
  /** How long it has been read from since all was sent. */
  #lingeredMs = 0;
  /** What was queued when it was looked at last: less of it means that the client takes it. */
  #queuedBytes: number;
  /** How long what is queued has not moved. */
  #stalledMs = 0;

  constructor(connection: Connection, deadlines: DeadlineWheel, onGone: () => void) {
    this.#connection = connection;
    this.#onGone = onGone;
    this.#deadline = new Deadline(deadlines, () => this.#look());
    this.#deadline.arm(LINGER_TIMEOUT_MS);
    this.#queuedBytes = connection.queuedBytes;
  }

  onBytes(): void {
    this.#isSending = true;
  }

  onDrain(): void {}

  /** The client has ended its side too: what is queued still leaves. */
  onEnd(): void {}

  onClose(): void {
    this.#deadline.dispose();
    this.#onGone();
  }

  #look(): void {
    const { queuedBytes } = this.#connection;
    const moved = queuedBytes < this.#queuedBytes;
    const isSending = this.#isSending;
    this.#queuedBytes = queuedBytes;
    this.#isSending = false;
    if (queuedBytes > 0) {
      this.#stalledMs = moved ? 0 : this.#stalledMs + LINGER_TIMEOUT_MS;
      if (this.#stalledMs >= BODY_PROGRESS_TIMEOUT_MS) return this.#connection.destroy(undefined, true);
    } else if (!moved) {
      this.#lingeredMs += LINGER_TIMEOUT_MS;
      if (!isSending || this.#lingeredMs >= LINGER_MS_MAX) return this.#connection.destroy();
    }
    this.#deadline.arm(LINGER_TIMEOUT_MS);
  }
}
