/**
 * What works and should not stay so, told once each: when a configuration is taken into use, and once a day for as long as it is. A
 * certificate that nobody renews must not end without a word because the process that uses it was started months ago.
 */
import type { Clock, TimerHandle } from "../core/ports.ts";

const LOOK_AGAIN_MS = 86_400_000;

export class Warnings {
  readonly #clock: Clock;
  readonly #tell: (warning: string) => void;
  readonly #told = new Set<string>();
  #find: () => readonly string[] = () => [];
  #later: TimerHandle | null = null;

  constructor(clock: Clock, tell: (warning: string) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** `find` says what is to be warned of at the time at which it is called; it takes the place of the one before. */
  keep(find: () => readonly string[]): void {
    this.#find = find;
    this.#look();
  }

  close(): void {
    this.#later?.cancel();
  }

  #look(): void {
    for (const warning of this.#find()) {
      if (this.#told.has(warning)) continue;
      this.#told.add(warning);
      this.#tell(warning);
    }
    this.#later?.cancel();
    this.#later = this.#clock.after(LOOK_AGAIN_MS, () => this.#look());
  }
}
