/** A scenario's result as Markdown: a table with a line for each row, then what to mind, what is missing, and the claims. */
import type { Scenario } from "../scenarios/scenario.ts";
import { type ClaimResult, cell, type Report, type ScenarioResult } from "./result.ts";
import { INTERVAL_VALUES_MIN } from "./statistics.ts";

export function table(scenario: Scenario, result: ScenarioResult): string {
  const { columns, baseline } = scenario;
  const lines = [
    `| target | ${columns.map(({ title }) => title).join(" | ")} |`,
    `|---|${columns.map(() => "---:|").join("")}`,
  ];
  for (const row of result.rows) {
    const cells = columns.map((column) => {
      const value = cell(result, row, column, baseline);
      return value === null || Number.isNaN(value) ? "-" : value.toFixed(column.digits);
    });
    lines.push(`| ${[row.name, row.version].join(" ").trim()} | ${cells.join(" | ")} |`);
  }
  return lines.join("\n");
}

function claimLine(result: ClaimResult, rounds: number): string {
  const { text, value, low = value ?? 0, high = low, atMost, atLeast, holds } = result;
  if (value === null) return `- not measured: ${text}`;
  const bound = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
  const shown = (number: number) => number.toFixed(Math.abs(value) < 100 ? 3 : 0);
  const confidence = rounds < INTERVAL_VALUES_MIN ? `all ${rounds} rounds` : "95 %";
  const range = low === high ? "" : `, ${confidence}: ${shown(low)} to ${shown(high)}`;
  return `- ${holds === true ? "holds" : "DOES NOT HOLD"}: ${text} (${shown(value)}${range}; ${bound})`;
}

/** What the project claims of itself, by all scenarios that were measured; "" when they decide nothing. */
export function claims(report: Report): string {
  const lines = Object.values(report.scenarios).flatMap(({ name, rounds, claims: results }) =>
    results.map((result) => claimLine(result, rounds).replace(": ", `: ${name}: `)),
  );
  return lines.length === 0 ? "" : `## Claims\n\n${lines.join("\n")}\n`;
}

/** The whole section, with its heading. */
export function section(scenario: Scenario, result: ScenarioResult): string {
  const { rounds, seconds, connections, date, commit, notes, leftOut, claims } = result;
  const settings = `rounds: ${rounds}, seconds: ${seconds}, connections: ${connections}, ${date.slice(0, 10)}, commit: ${commit || "unknown"}`;
  const parts = [`## ${scenario.name}: ${scenario.title}`, scenario.about, `*${settings}*`, table(scenario, result)];
  if (claims.length > 0) parts.push(claims.map((claim) => claimLine(claim, rounds)).join("\n"));
  parts.push(...notes);
  if (leftOut.length > 0)
    parts.push(`Not here: ${leftOut.map(({ name, reason }) => `${name} (${reason})`).join("; ")}.`);
  return `${parts.join("\n\n")}\n`;
}
