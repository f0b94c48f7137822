/** Asks that wait for the keeper's word, for a flight or not: each is told exactly one thing, and is forgotten by all who knew of it. */
import type { FillThread, Flight, Waiter } from "./flight.ts";
import type { ToThread } from "./protocol.ts";

export function waitFor(flight: Flight, waiter: Waiter): void {
  waiter.flight = flight;
  flight.waiters.add(waiter);
  waiter.thread.waiters.set(waiter.ask, waiter);
}

/** They wait no more, and are to be told something, or placed again. */
export function takeWaiters(flight: Flight): Waiter[] {
  const waiters = [...flight.waiters];
  flight.waiters.clear();
  for (const waiter of waiters) {
    waiter.flight = null;
    waiter.thread.waiters.delete(waiter.ask);
  }
  return waiters;
}

/** It wants to be told nothing any more. */
export function forgetWaiter(thread: FillThread, ask: number): void {
  const waiter = thread.waiters.get(ask);
  if (waiter === undefined) return;
  thread.waiters.delete(ask);
  waiter.flight?.waiters.delete(waiter);
}

/** One message to each thread for all its asks. */
export function tell(waiters: readonly Waiter[], message: (asks: number[], thread: FillThread) => ToThread): void {
  const asks = new Map<FillThread, number[]>();
  for (const { thread, ask } of waiters) {
    const known = asks.get(thread);
    if (known === undefined) asks.set(thread, [ask]);
    else known.push(ask);
  }
  for (const [thread, numbers] of asks) thread.link.send(message(numbers, thread));
}
