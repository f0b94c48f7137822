/** The process whose place this one is to take, when there is one. */
import { once } from "node:events";
import { type FromSuccessor, HANDOVER_VARIABLE, type HandedAddress } from "./handover.ts";

export class Predecessor {
  readonly addresses: readonly HandedAddress[];

  private constructor(addresses: readonly HandedAddress[]) {
    this.addresses = addresses;
  }

  /** null: this process was started like any other. */
  static find(): Predecessor | null {
    const text = process.env[HANDOVER_VARIABLE];
    if (text === undefined || !process.connected) return null;
    return new Predecessor(JSON.parse(text) as HandedAddress[]);
  }

  /** Says that this process serves; resolves when the admin interface is free, or the predecessor is gone. */
  async letGo(): Promise<void> {
    if (!process.connected) return;
    const answered = new AbortController();
    const { signal } = answered;
    const answer = Promise.race([once(process, "message", { signal }), once(process, "disconnect", { signal })]);
    tell({ kind: "serving" });
    await answer;
    // Whoever listens keeps the process alive.
    answered.abort();
  }

  /** Says that everything is open. Whoever this process starts itself is told nothing of it. */
  done(): void {
    tell({ kind: "done" });
    if (process.connected) process.disconnect?.();
    delete process.env[HANDOVER_VARIABLE];
  }

  /** Says why this process cannot take the place, and will end. */
  fail(lines: readonly string[]): void {
    tell({ kind: "failed", lines });
  }
}

function tell(message: FromSuccessor): void {
  // Whoever is gone need not be told.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
