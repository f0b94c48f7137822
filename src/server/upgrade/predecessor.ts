/** The process whose place this one is to take, when there is one. */
import { once } from "node:events";
import { type FromSuccessor, HANDOVER_VARIABLE, type HandedAddress } from "./handover.ts";

export class Predecessor {
  static #found: Predecessor | null = null;
  readonly addresses: readonly HandedAddress[];

  private constructor(addresses: readonly HandedAddress[]) {
    this.addresses = addresses;
  }

  /**
   * null: this process was started like any other. Throws when what it was handed cannot be read. To be asked before anything else is started
   * or loaded: whoever that starts inherits the environment, and is to know nothing of it.
   */
  static find(): Predecessor | null {
    Predecessor.#found ??= Predecessor.#read();
    return Predecessor.#found;
  }

  static #read(): Predecessor | null {
    const text = process.env[HANDOVER_VARIABLE];
    delete process.env[HANDOVER_VARIABLE];
    if (text === undefined || !process.connected) return null;
    return new Predecessor(addressesIn(text));
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

  /** Says that everything is open. */
  done(): void {
    tell({ kind: "done" });
    if (process.connected) process.disconnect?.();
  }

  /** Says why this process cannot take the place, and will end. */
  fail(lines: readonly string[]): void {
    tell({ kind: "failed", lines });
  }
}

/** Another version may have written it, or a stranger. */
function addressesIn(text: string): readonly HandedAddress[] {
  try {
    const addresses = JSON.parse(text) as readonly HandedAddress[];
    if (addresses.every(isAddress)) return addresses;
  } catch {
    // Told like any other text that is none.
  }
  throw new Error(`${HANDOVER_VARIABLE} in the environment is not what this version hands on: start it without that`);
}

function isAddress({ listen, address, descriptors }: HandedAddress): boolean {
  const isPlace =
    typeof address.family === "number" && typeof address.address === "string" && Number.isInteger(address.port);
  return typeof listen === "string" && isPlace && descriptors.every(Number.isInteger);
}

function tell(message: FromSuccessor): void {
  // Whoever is gone need not be told.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
