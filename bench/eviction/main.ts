/**
 * Prints hit ratios of eviction policies on traces that are made from a seed, and whether ours keeps to its bars. No network, no
 * files, the same numbers on every machine:
 *
 *     npm run bench:eviction                    # tables as in bench/eviction/README.md: some minutes
 *     npm run bench:eviction -- --requests 60000 --seed 7
 */
import { parseArgs } from "node:util";
import { barsOf, judge, SHARES } from "./bars.ts";
import { type HitRatio, hitRatio, NAMES } from "./compare.ts";
import { makeTrace, TRACE_NAMES } from "./traces.ts";

const { values } = parseArgs({
  options: { requests: { type: "string", default: "200000" }, seed: { type: "string", default: "1" } },
});

const broken: string[] = [];
for (const share of SHARES) {
  const rows = TRACE_NAMES.map((name) => {
    const trace = makeTrace(name, Number(values.requests), Number(values.seed));
    const ratios = Object.fromEntries(NAMES.map((policy) => [policy, hitRatio(trace, policy, share)]));
    broken.push(...judge(name, share, ratios));
    return { name, ratios };
  });
  for (const what of ["requests", "bytes"] as const) {
    console.log(`\nHits in 100 ${what}, with room for ${share * 100} % of all bytes:\n`);
    console.log(`| trace | ${NAMES.join(" | ")} |\n|---|${NAMES.map(() => "---:|").join("")}`);
    for (const { name, ratios } of rows) console.log(rowOf(name, what, ratios));
  }
}
console.log("\nTraces:\n");
for (const name of TRACE_NAMES) console.log(`- \`${name}\`: ${makeTrace(name, 1000, 1).about}; ${barsOf(name)}`);
console.log(broken.length === 0 ? "\nAll bars hold." : `\nBroken:\n${broken.join("\n")}`);
process.exitCode = broken.length === 0 ? 0 : 1;

function rowOf(name: string, what: keyof HitRatio, ratios: Readonly<Record<string, HitRatio>>): string {
  const cells = NAMES.map((policy) => (ratios[policy]![what] * 100).toFixed(1));
  return `| \`${name}\` | ${cells.join(" | ")} |`;
}
