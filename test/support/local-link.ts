/** Both ends of a way between a thread and the keeper where they are one thread: messages arrive when the current calls are over. */
import type { Link } from "../../src/caching/ports.ts";

class LocalEnd<Outgoing, Incoming> implements Link<Outgoing, Incoming> {
  other: LocalEnd<Incoming, Outgoing> | null = null;
  #arriving: Incoming[] = [];
  onMessage: (message: Incoming) => void = drop;

  send(message: Outgoing): void {
    this.other!.take(message);
  }

  take(message: Incoming): void {
    if (this.#arriving.push(message) === 1) queueMicrotask(this.#deliver);
  }

  readonly #deliver = (): void => {
    const messages = this.#arriving;
    this.#arriving = [];
    for (const message of messages) this.onMessage(message);
  };
}

function drop(): void {}

export function localLink<A, B>(): readonly [Link<A, B>, Link<B, A>] {
  const one = new LocalEnd<A, B>();
  const two = new LocalEnd<B, A>();
  one.other = two;
  two.other = one;
  return [one, two];
}
