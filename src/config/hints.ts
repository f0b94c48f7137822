/**
 * What people write in place of what a field takes, and what to say then: a table of slips that are common enough to have a word of
 * their own, by the path of the field and its value. What a kind of text itself knows to suggest stands with that kind.
 */
import { takesKind } from "./known-fields.ts";
import { formatPath, type Path } from "./problems.ts";

export interface Hint {
  /** What was probably meant, as text. */
  readonly suggestion?: string;
  /** Follows the message. */
  readonly advice?: string;
}

const NOTHING: Hint = {};
const PORT_MAX = 65_535;

type Slip = readonly [path: RegExp, isIt: (value: unknown) => boolean, advice: string];

const isMapping = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);

const hasInnerStar = (value: unknown) => [value].flat().some((one) => typeof one === "string" && /\*./.test(one));

/** As nginx and others write it; "^~" is a prefix there. */
const isRegex = (value: unknown) => typeof value === "string" && /^(~\*?\s|\^(?!~))/.test(value);

const hasPlaceholder = (value: unknown) => typeof value === "string" && /[${]/.test(value);

const SLIPS: readonly Slip[] = [
  [/^(servers|upstreams)$/, Array.isArray, "each has a name: NAME: { ... }"],
  [/^upstreams\.[^.[]+$/, (value) => Array.isArray(value) || typeof value === "string", "write { servers: [...] }"],
  [
    /^(?!.*\.via\[).*\.proxy(\.to)?$/,
    Array.isArray,
    "several servers are an upstream: upstreams: { NAME: { servers: [...] } }, proxy: NAME",
  ],
  [/\.(routes|use|certificates)$/, isMapping, "a list of one is [{ ... }]"],
  [/^upstreams\.[^.]+\.servers$/, (value) => typeof value === "string", "a list of one is [URL]"],
  [/\.use$/, (value) => typeof value === "string", "a list of one is [{ NAME: ... }]"],
  [/\.use\[\d+\]$/, (value) => typeof value === "string", "write { NAME: ... }"],
  [/\.use\[\d+\]$/, Array.isArray, "write its items here, one by one"],
  [/\.match$/, (value) => typeof value === "string", "write { path: ... } or { host: ... }"],
  [/(\.proxy|^upstreams\.[^.[]+)\.host$/, hasPlaceholder, "preserve is the host that the client asked for"],
  [/\.proxy(\.to)?$/, hasPlaceholder, "a target has no placeholders: write a route for each"],
  [/\.match\.host(\[\d+\])?$/, (value) => value === "*" || value === "_", "for every host leave host out"],
  [/\.respond$/, (value) => typeof value === "string" && /^\d+$/.test(value), "a status has no quotes"],
  [/\.respond$/, (value) => typeof value === "string", "a text is { body: TEXT }"],
  [/\.match\.path(\[\d+\])?$/, hasInnerStar, "use pathRegex for more"],
  [/\.match\.path(\[\d+\])?$/, isRegex, "a regular expression is a pathRegex"],
  [/^servers\.[^.]+\.forward$/, (value) => value === null, "for a proxy without options write forward: {}"],
  [/\.forward\.(allow|deny|via)$/, isMapping, "a list of one is [{ ... }]"],
  [/\.forward\.(allow|deny|via)\[\d+\]\.hosts(\[\d+\])?$/, (value) => value === "*", "for every host leave hosts out"],
  [/^log\.access$/, (value) => typeof value === "string", "a file is { output: PATH }, a format { format: FORMAT }"],
  [/^caches$/, (value) => !isMapping(value), "write caches: { NAME: { directory: PATH, size: 50GiB } }"],
  [/^caches\.[^.]+$/, (value) => value === null, "for a cache without options write {}"],
  [/^caches\.[^.]+$/, (value) => typeof value === "string", "write { directory: PATH }"],
  [/^caches\.[^.]+\.memory$/, (value) => value === "off" || value === false, "for nothing in memory write 0"],
  [/^caches\.[^.]+\.shared$/, isMapping, 'such fields stand in "stores": stores: { NAME: { url: URL } }, shared: NAME'],
  [/^caches\.[^.]+\.inactive$/, (value) => value === "never" || value === 0, "write off"],
  [/\.cache\.(rules|bypass)$/, isMapping, "a list of one is [{ ... }]"],
  [/\.cache\.key$/, Array.isArray, "write { headers: [...] }, or query, cookies or identity"],
  [/\.cache\.heuristic$/, (value) => value === true, "write {}, or { share: 0.1, max: 1d }"],
  [/\.cache\.heuristic$/, (value) => typeof value === "number", "write { share: NUMBER, max: 1d }"],
  [/\.cache\.(staleOnError|staleWhileRevalidate|negative)$/, (value) => value === true, "say for how long: 1d"],
  [
    /\.listen(\[\d+\])?$/,
    (value) => typeof value === "string" && /\s(ssl|https)\b/.test(value),
    'write { address: ":443", tls: { certificates: [{ cert: PATH, key: PATH }] } }',
  ],
  [/\.listen(\[\d+\])?\.proxyProtocol$/, (value) => value === true, "write { from: NETWORKS }, those of the balancers"],
];

/** Of a value that its field does not take. */
export function hintOf(path: Path, value: unknown): Hint {
  const text = formatPath(path);
  if (typeof value === "number") {
    const hint = hintOfNumber(path, value);
    if (hint !== NOTHING) return hint;
  }
  if (typeof value === "string" && /\.days(\[\d+\])?$/.test(text)) return hintOfDay(path, value);
  const slip = SLIPS.find(([pattern, isIt]) => pattern.test(text) && isIt(value));
  return slip === undefined ? NOTHING : { advice: slip[2] };
}

function hintOfNumber(path: Path, value: number): Hint {
  if (!Number.isInteger(value) || value <= 0) return NOTHING;
  if (takesKind(path, "duration")) return { suggestion: `${value}s` };
  return value <= PORT_MAX && takesKind(path, "listenAddress") ? { suggestion: `:${value}` } : NOTHING;
}

function hintOfDay(path: Path, value: string): Hint {
  const day = /^(sun|mon|tue|wed|thu|fri|sat)[a-z]*$/i.exec(value)?.[1]?.toLowerCase();
  if (day === undefined) return NOTHING;
  return typeof path.at(-1) === "number" ? { suggestion: day } : { advice: `a list of one is [${day}]` };
}
