// Suites that must hold however bytes get from one connection to the other: copied, as every transport can, or spliced.
import { describe } from "node:test";

/** Declares the suite twice; `splices` is for the options of its simulated network. */
export function describeBothWays(name: string, suite: (splices: boolean) => void): void {
  for (const splices of [false, true]) {
    describe(`${name}, ${splices ? "spliced where it can be" : "copied"}`, () => suite(splices));
  }
}
