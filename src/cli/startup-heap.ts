/**
 * How much memory starting costs. What is loaded at the start stays; V8 takes that for a program that allocates much, and gives its young
 * generation ten times the room, which it never takes back. So it must not grow while modules are loaded: imported before all
 * others, this keeps some 20 MiB from ever being resident.
 *
 * A heuristic of the collector and nothing else, as in compiler.ts.
 */
import v8 from "node:v8";

/** V8's own: twice as large each time. */
const GROWTH_FACTOR = 2;

v8.setFlagsFromString("--semi-space-growth-factor=1");

/** For what serves requests, workers included: there room is worth its memory. */
export function letYoungGenerationsGrow(): void {
  v8.setFlagsFromString(`--semi-space-growth-factor=${GROWTH_FACTOR}`);
}
