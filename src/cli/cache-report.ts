/** What `headgate cache stats` and `list` show to a person. */
import type { CacheOutcome } from "../caching/counts.ts";
import type { ListedEntry, SharingStats } from "../caching/operating.ts";
import type { CacheStatus } from "../server/caches/control.ts";
import { formatBytes, formatShare, formatUptime, table, withoutControls } from "./status-report.ts";

/** What each outcome is, for who has not read the documentation. */
const SENTENCES: Readonly<Record<CacheOutcome, string>> = {
  hit: "from the cache, fresh",
  stale: "from the cache, stale: the origin failed, or is asked meanwhile",
  revalidated: "from the cache, confirmed by the origin",
  shared: "from a download that another request had begun, or from another machine",
  miss: "downloaded",
  pass: "downloaded past the cache",
};

/** Lines without controls, whatever the proxy says: they go to a terminal. */
export function statsReport(caches: readonly CacheStatus[]): readonly string[] {
  if (caches.length === 0) return ["the configuration has no cache"];
  return caches.flatMap((cache, index) => [...(index === 0 ? [] : [""]), ...cacheLines(cache)]).map(withoutControls);
}

function cacheLines(cache: CacheStatus): readonly string[] {
  const { name, directory, bytes, bytesMax, entries, served, savedBytes, trouble, removed } = cache;
  const gone = Object.entries(removed).filter(([, count]) => count > 0);
  return [
    `${name} in ${directory}`,
    ...(trouble === null ? [] : [`  stores nothing for now: ${trouble}`]),
    `  holds ${count(entries, "entry", "entries")}, ${formatBytes(bytes)} of ${formatBytes(bytesMax)}`,
    `  hit ratio ${formatShare(cache.hitRatio)} of requests, ${formatShare(cache.byteHitRatio)} of bytes: ${formatBytes(savedBytes)} saved`,
    ...table(
      Object.entries(SENTENCES).map(([outcome, sentence]) => {
        const { requests, bytes: sent } = served[outcome as CacheOutcome];
        return [`  ${outcome}`, String(requests), formatBytes(sent), sentence];
      }),
      [false, true, true, false],
    ),
    `  gone: ${gone.length === 0 ? "nothing" : gone.map(([reason, number]) => `${number} ${reason}`).join(", ")}`,
    ...(cache.shared === null ? [] : sharingLines(cache.shared)),
  ];
}

function sharingLines({
  cutOff,
  since,
  taken,
  given,
  errors,
  lastError,
  late,
  behind,
  owed,
}: SharingStats): readonly string[] {
  const [from, to] = [taken, given].map(({ answers, bytes }) => {
    return `${count(answers, "answer", "answers")} (${formatBytes(bytes)})`;
  });
  return [
    cutOff === null
      ? `  shared with other machines since ${since}`
      : `  cut off from other machines since ${since}, and finds nothing: ${cutOff}`,
    `    ${from} from them, ${to} for them; ${count(errors, "error", "errors")}, ${count(late, "look-up", "look-ups")} given up`,
    ...(lastError === null ? [] : [`    the last error: ${lastError}`]),
    ...(behind > 0 ? [`    ${count(behind, "purge", "purges")} of theirs to be applied here`] : []),
    ...(owed > 0 ? [`    ${count(owed, "purge", "purges")} they could not be told of yet`] : []),
  ];
}

const LIST_TITLES = ["size", "age", "fresh for", "uses", "status", "url"];

export function listReport(
  caches: readonly { readonly name: string; readonly matching: number; readonly entries: readonly ListedEntry[] }[],
): readonly string[] {
  const lines = caches.flatMap(({ name, matching, entries }, index) => {
    const left = matching - entries.length;
    return [
      ...(index === 0 ? [] : [""]),
      `${name}: ${count(matching, "entry", "entries")}`,
      ...(entries.length === 0
        ? []
        : table([LIST_TITLES, ...entries.map(entryRow)], [true, true, true, true, true, false])),
      ...(left > 0 ? [`and ${left} more, which --limit shows`] : []),
    ];
  });
  return lines.map(withoutControls);
}

function entryRow(entry: ListedEntry): readonly string[] {
  const { url, status, bytes, ageSeconds, freshSeconds, uses } = entry;
  const fresh = freshSeconds > 0 ? formatUptime(freshSeconds) : "stale";
  return [
    formatBytes(bytes),
    formatUptime(ageSeconds),
    fresh,
    String(uses),
    String(status),
    `${url}${variantText(entry)}`,
  ];
}

/** " (accept-encoding: gzip, no origin)": what tells it from the other answers of its URL. */
function variantText({ variant }: ListedEntry): string {
  const fields = Object.entries(variant).map(([name, value]) => (value === null ? `no ${name}` : `${name}: ${value}`));
  return fields.length === 0 ? "" : ` (${fields.join(", ")})`;
}

function count(number: number, one: string, more: string): string {
  return `${number} ${number === 1 ? one : more}`;
}
