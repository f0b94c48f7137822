/**
 * The chart: a panel of bars for each scenario that has one, shorter is better. It stands on a card of its own, so that it can
 * be read wherever it is shown, and the card follows the reader's light or dark setting.
 */
import type { Scenario } from "../scenarios/scenario.ts";
import { cell, type Report, type ScenarioResult } from "./result.ts";
import { median } from "./statistics.ts";

const PANEL = { width: 430, columns: 2, gap: 28, top: 44, bar: 14, step: 20, bottom: 22 } as const;
const MARGIN = 24;
const HEADER = 92;
/** A bar longer than so many times the median is cut, so that the others can still be told apart. */
const CUT_AT = 3;
/** Of a panel's width: names to the left, numbers to the right, bars between. */
const NAMES = 152;
const NUMBERS = 92;

const STYLE = `
  .card { fill: #ffffff; stroke: #d0d7de; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .panel { font-size: 13px; font-weight: 600; }
  .soft { fill: #59636e; font-size: 11px; }
  .own { font-weight: 600; }
  .bar { fill: #b4bcc6; }
  .bar.own { fill: #1a7f64; }
  .bar.baseline { fill: #6e7781; }
  .cut { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    .card { fill: #161b22; stroke: #30363d; }
    .cut { fill: #161b22; }
    text { fill: #e6edf3; }
    .soft { fill: #9198a1; }
    .bar { fill: #4b5563; }
    .bar.own { fill: #2ea07f; }
    .bar.baseline { fill: #8b949e; }
  }
`;

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

/** Three significant digits, and no more than the number has. */
function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

interface Bar {
  readonly name: string;
  readonly value: number;
  /** To the baseline; null where there is none. */
  readonly ratio: number | null;
}

function barsOf(scenario: Scenario, result: ScenarioResult): Bar[] {
  const column = { title: "", metric: scenario.chart!.metric, statistic: "median", digits: 0 } as const;
  return result.rows.flatMap((row) => {
    const value = cell(result, row, column, null);
    if (value === null || Number.isNaN(value)) return [];
    return [{ name: row.name, value, ratio: cell(result, row, { ...column, ratio: true }, scenario.baseline) }];
  });
}

/** The sign that a bar is longer than it is drawn. */
function cut(x: number, top: number): string {
  return `<path class="cut" d="M${x + 4} ${top - 1}h4l-4 ${PANEL.bar + 2}h-4z"/>`;
}

function panel(scenario: Scenario, bars: readonly Bar[], x: number, y: number): string {
  const { title, unit } = scenario.chart!;
  const values = bars.map(({ value }) => value);
  const longest = Math.max(Math.min(Math.max(...values), CUT_AT * median(values)), Number.MIN_VALUE);
  const room = PANEL.width - NAMES - NUMBERS;
  const parts = [
    `<text class="panel" x="${x}" y="${y + 14}">${escaped(title)}</text>`,
    `<text class="soft" x="${x}" y="${y + 31}">${escaped(unit)}, median</text>`,
  ];
  for (const [index, { name, value, ratio }] of bars.entries()) {
    const top = y + PANEL.top + index * PANEL.step;
    const own = name.startsWith("headgate");
    const kind = own ? " own" : name === scenario.baseline ? " baseline" : "";
    const width = Math.min(room, Math.max(1, (value / longest) * room));
    const number = `${short(value)}${ratio === null ? "" : `  (${ratio.toFixed(2)})`}`;
    parts.push(
      `<text class="${own ? "own" : "soft"}" text-anchor="end" x="${x + NAMES - 8}" y="${top + 11}">${escaped(name)}</text>`,
      `<rect class="bar${kind}" x="${x + NAMES}" y="${top}" width="${width.toFixed(1)}" height="${PANEL.bar}" rx="2"/>`,
      value > longest ? cut(x + NAMES + width - 18, top) : "",
      `<text class="${own ? "own" : "soft"}" x="${(x + NAMES + width + 6).toFixed(1)}" y="${top + 11}">${number}</text>`,
    );
  }
  return parts.join("\n");
}

/** Well formed also when nothing was measured that has a panel. */
export function chart(report: Report, scenarios: readonly Scenario[]): string {
  const panels = scenarios.flatMap((scenario) => {
    const result = report.scenarios[scenario.name];
    if (result === undefined || scenario.chart === undefined) return [];
    const bars = barsOf(scenario, result);
    return bars.length === 0 ? [] : [{ scenario, bars }];
  });
  const drawn: string[] = [];
  let y = MARGIN + HEADER;
  for (let first = 0; first < panels.length; first += PANEL.columns) {
    const line = panels.slice(first, first + PANEL.columns);
    for (const [column, { scenario, bars }] of line.entries()) {
      drawn.push(panel(scenario, bars, MARGIN + column * (PANEL.width + PANEL.gap), y));
    }
    y += PANEL.top + PANEL.bottom + PANEL.step * Math.max(...line.map(({ bars }) => bars.length));
  }
  const width = MARGIN * 2 + PANEL.width * PANEL.columns + PANEL.gap * (PANEL.columns - 1);
  const height = y + 4;
  const { processor, processors, kernel, node } = report.machine;
  const dates = Object.values(report.scenarios).map(({ date }) => date.slice(0, 10));
  const when = dates.sort().at(-1) ?? "";
  const where = `${processor}, ${processors} processors, ${kernel}, Node ${node.slice(1)}, ${when}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">
<title>What Headgate and other proxies cost</title>
<style>${STYLE}</style>
<rect class="card" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>
<text class="title" x="${MARGIN}" y="${MARGIN + 14}">What a proxy costs: shorter is better</text>
<text class="soft" x="${MARGIN}" y="${MARGIN + 34}">In brackets: the ratio to the dark bar, the median of the ratios in each round. A bar with a gap is longer than drawn.</text>
<text class="soft" x="${MARGIN}" y="${MARGIN + 50}">One worker each, on one processor. ${escaped(where)}</text>
<text class="soft" x="${MARGIN}" y="${MARGIN + 66}">headgate-net is Headgate on Node's own sockets; floor is the least relay that C can do, which reads no heads.</text>
${drawn.join("\n")}
</svg>
`;
}
