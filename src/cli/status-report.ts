/** What `headgate status` shows to a person: the proxy in a few lines, its listeners, and tables of its workers and of the servers behind it. */
import type { CacheStatus } from "../server/caches/control.ts";
import type { ForwardStatus, ReloadStatus, ServerStatus, Status, WorkerStatus } from "../server/control.ts";

/** Lines without controls, whatever the proxy says: they go to a terminal. */
export function statusReport(status: Status, address: string): readonly string[] {
  const {
    version,
    node,
    pid,
    state,
    uptimeSeconds,
    config,
    transport,
    listeners,
    workers,
    upstreams,
    forward,
    caches,
    lastReload,
  } = status;
  const rows = [
    ["state", `${state}, up for ${formatUptime(uptimeSeconds)}`],
    ["process", `${pid}, admin on ${address}`],
    ["config", config ?? "from the command line"],
    ["transport", `${transport}, Node ${node}`],
    ...listeners.map(({ server, url }, index) => [index === 0 ? "listening" : "", `${server} on ${url}`]),
    ["last reload", lastReload === null ? "none" : describeReload(lastReload)],
  ];
  const problems = lastReload?.outcome.kind === "failed" ? lastReload.outcome.problems : [];
  const lines = [
    `headgate ${version}`,
    ...table(rows, []),
    ...problems.map((problem) => `  ${problem}`),
    "",
    ...table([WORKER_COLUMNS.map(({ title }) => title), ...workers.map(workerRow)], WORKER_COLUMNS.map(isNumber)),
    ...workers.flatMap(({ id, lastFault }) => (lastFault === null ? [] : [`last fault of worker ${id}: ${lastFault}`])),
    ...(upstreams.length === 0 ? [] : ["", ...serverLines(status)]),
    ...(caches.length === 0 ? [] : ["", ...cacheLines(caches)]),
    ...(forward === null ? [] : ["", ...userLines(forward)]),
  ];
  return lines.map(withoutControls);
}

interface Column {
  readonly title: string;
  readonly value: (worker: WorkerStatus) => string | number;
}

/** As many as fit on a screen; `--json` has all. */
const SERVERS_SHOWN = 20;
/** What may be long stands at the end, where it moves no other column. */
const SERVER_TITLES = ["server", "upstream", "connections", "requests", "failures", "bad answers", "state"];
const SERVER_NUMBERS = ["connections", "requests", "failures", "bad answers"];

/** In the order of the configuration; where not all have room, those that are not up come first. */
function serverLines({ upstreams, startedAt, uptimeSeconds }: Status): readonly string[] {
  const nowMs = Date.parse(startedAt) + 1000 * uptimeSeconds;
  const all = upstreams.flatMap(({ name, servers }) => servers.map((server) => ({ name, server })));
  const isUp = ({ server }: { readonly server: ServerStatus }): boolean => server.state === "up";
  const inOrder = all.length <= SERVERS_SHOWN ? all : [...all.filter((row) => !isUp(row)), ...all.filter(isUp)];
  const rows = inOrder.slice(0, SERVERS_SHOWN).map(({ name, server }) => {
    const { url, connections, requests, failures, badAnswers } = server;
    return [
      url,
      name === url ? "" : name,
      ...[connections, requests, failures, badAnswers].map(String),
      describeState(server, nowMs),
    ];
  });
  const left = all.length - SERVERS_SHOWN;
  return [
    ...table(
      [SERVER_TITLES, ...rows],
      SERVER_TITLES.map((title) => SERVER_NUMBERS.includes(title)),
    ),
    ...(left > 0 ? [`and ${left} more, which --json lists`] : []),
  ];
}

function describeState({ state, since, reason }: ServerStatus, nowMs: number): string {
  if (since === null) return state;
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(since)) / 1000));
  return `${state} for ${formatUptime(seconds)}: ${reason}`;
}

const CACHE_TITLES = ["cache", "entries", "size", "of", "hit ratio", "saved"];

/** `headgate cache stats` says more. */
function cacheLines(caches: readonly CacheStatus[]): readonly string[] {
  const rows = caches.map(({ name, entries, bytes, bytesMax, hitRatio, savedBytes }) => [
    name,
    String(entries),
    formatBytes(bytes),
    formatBytes(bytesMax),
    formatShare(hitRatio),
    formatBytes(savedBytes),
  ]);
  const troubles = caches.flatMap(({ name, trouble, shared }) => [
    ...(trouble === null ? [] : [`cache ${name} stores nothing for now: ${trouble}`]),
    ...(shared === null || shared.cutOff === null
      ? []
      : [`cache ${name} is cut off from other machines, and finds nothing: ${shared.cutOff}`]),
  ]);
  return [
    ...table(
      [CACHE_TITLES, ...rows],
      CACHE_TITLES.map((title) => title !== "cache"),
    ),
    ...troubles,
  ];
}

/** "87.5%"; "-" where there was nothing to share. */
export function formatShare(share: number | null): string {
  return share === null ? "-" : `${(100 * share).toFixed(1)}%`;
}

/** As many as fit below the rest on a screen; `--json` has all. */
const USERS_SHOWN = 20;
const USER_TITLES = ["user", "requests", "tunnels", "open", "from client", "to client"];

/** Who uses the forward proxy, those with the most bytes first. */
function userLines({ users, unnamed, others }: ForwardStatus): readonly string[] {
  const rows = users.slice(0, USERS_SHOWN).map(({ user, ...counts }) => userRow(user, counts));
  if (unnamed !== null) rows.push(userRow("(no name)", unnamed));
  if (others !== null) rows.push(userRow("(others)", others));
  const left = users.length - USERS_SHOWN;
  return [
    ...table(
      [USER_TITLES, ...rows],
      USER_TITLES.map((title) => title !== "user"),
    ),
    ...(left > 0 ? [`and ${left} more, which --json lists`] : []),
  ];
}

function userRow(user: string, counts: NonNullable<ForwardStatus["others"]>): readonly string[] {
  const { requests, tunnels, openTunnels, requestBytes, responseBytes } = counts;
  return [user, ...[requests, tunnels, openTunnels].map(String), formatBytes(requestBytes), formatBytes(responseBytes)];
}

/** "999 B", "1.5 KiB", "12.0 GiB". */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  // What would round to 1024 is one of the next unit.
  while (unit < units.length - 1 && value >= (unit === 0 ? 1024 : 1023.95)) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

const WORKER_COLUMNS: readonly Column[] = [
  { title: "worker", value: ({ id }) => id },
  { title: "state", value: ({ state }) => state },
  { title: "connections", value: ({ connections }) => connections },
  { title: "upstream", value: ({ upstreamConnections }) => upstreamConnections },
  { title: "requests", value: ({ requests }) => requests },
  { title: "faults", value: ({ faults }) => faults },
  { title: "restarts", value: ({ restarts }) => restarts },
];

const isNumber = ({ title }: Column): boolean => title !== "state";

function workerRow(worker: WorkerStatus): readonly string[] {
  return WORKER_COLUMNS.map(({ value }) => String(value(worker)));
}

function describeReload({ at, outcome }: ReloadStatus): string {
  return `${at}: ${outcome.kind === "loaded" ? outcome.change : "failed, the old configuration goes on serving"}`;
}

/** Columns two spaces apart; those of numbers are aligned to the right. */
export function table(rows: readonly (readonly string[])[], isRight: readonly boolean[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (isRight[column] === true ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}

/** "3 d 4 h", "4 h 5 min", "5 min 6 s", "6 s". */
export function formatUptime(seconds: number): string {
  const units: readonly (readonly [name: string, seconds: number])[] = [
    ["d", 86_400],
    ["h", 3_600],
    ["min", 60],
    ["s", 1],
  ];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const parts = units.slice(first, first + 2).map(([name, size], index) => {
    const whole = index === 0 ? seconds : seconds % units[first]![1];
    return `${Math.floor(whole / size)} ${name}`;
  });
  return parts.join(" ");
}

export function withoutControls(text: string): string {
  return text.replace(/[\x00-\x1f\x7f-\x9f]/g, "\ufffd");
}
