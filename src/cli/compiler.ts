/**
 * How the machine code of this process is made. A request passes through a hundred small functions; with its usual limits V8
 * inlines the smaller half of them. Twice as much takes 5 % off what JavaScript costs a request (bench/README.md).
 *
 * Heuristics of the compiler and nothing else: a version of V8 that does not know them says so in a line, and goes on without.
 */
import v8 from "node:v8";

/** Of one function, and of all that goes into another; in bytes of bytecode. V8's own: 460 and 920. */
const INLINED_BYTES_MAX = 1000;
const INLINED_BYTES_SUM_MAX = 5000;

/** For the whole process, its workers included; before what is to be compiled has run. */
export function inlineMore(): void {
  v8.setFlagsFromString(`--max-inlined-bytecode-size=${INLINED_BYTES_MAX}`);
  v8.setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${INLINED_BYTES_SUM_MAX}`);
}
