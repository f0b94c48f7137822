/** Chance as the process has it: for balancing and sampling, never for secrets. */
import type { Random } from "../core/ports.ts";

export const systemRandom: Random = {
  next: () => Math.random(),
};
