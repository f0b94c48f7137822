/**
 * The way between a thread and the keeper of a cache: a pair of message ports, whether both are in one thread or not. A thread that
 * ends, however it does, closes its port, and the keeper learns of it by that alone.
 */
import type { MessagePort } from "node:worker_threads";
import type { Link } from "../../caching/ports.ts";

export class PortLink<Outgoing, Incoming> implements Link<Outgoing, Incoming> {
  onMessage: (message: Incoming) => void = () => {};
  readonly #port: MessagePort;

  /** `onClosed` is called once, in a later turn, when the other side is gone or either side has closed it. */
  constructor(port: MessagePort, onClosed: () => void = () => {}) {
    this.#port = port;
    port.on("message", (message: Incoming) => this.onMessage(message));
    port.once("close", onClosed);
    // Nobody stays alive for a message that may come.
    port.unref();
  }

  send(message: Outgoing): void {
    this.#port.postMessage(message);
  }

  close(): void {
    this.#port.close();
  }
}
