/** Options of health checks: what a server is asked, how often, and what counts as well. */
import { z } from "zod";
import { authority } from "../../core/option-addresses.ts";
import { defaultsTo, duration, formatDuration, textKind } from "../../core/option-types.ts";

const INTERVAL_MS = 5_000;
const TIMEOUT_MS = 2_000;
/** One that is lost on the way is no reason; HAProxy's numbers. */
const FAILS = 3;
const PASSES = 2;
/** Whoever answers with a redirect is there. */
const STATUSES = [[200, 399]] as const;

/** A request target in origin form (RFC 9112 section 3.2.1). */
const target = textKind<string>({
  id: "healthPath",
  expected: "a path such as /healthz",
  description: "Path and query of a request, such as `/healthz`.",
  pattern: "^/[!-~]*$",
  parse: (text) => (/^\/[\x21-\x7e]*$/.test(text) && !text.includes("#") ? text : null),
  suggest: (text) => (/^[\w.-][\x21-\x7e]*$/.test(text) && !text.includes(":") ? `/${text}` : null),
});

/** The first and the last of them. */
export type StatusRange = readonly [first: number, last: number];

function parseStatusRange(text: string): StatusRange | null {
  const match = /^([2-5]\d\d)(?:-([2-5]\d\d))?$/.exec(text);
  if (match === null) return null;
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  return first <= last ? [first, last] : null;
}

const statusRange = textKind<StatusRange>({
  id: "statusRange",
  expected: "a status or a range of them such as 200-299",
  description: "A status, or the first and the last of several: `204`, `200-299`.",
  pattern: "^[2-5][0-9]{2}(-[2-5][0-9]{2})?$",
  parse: parseStatusRange,
  suggest: (text) => (/^[2-5]xx$/i.test(text) ? `${text[0]}00-${text[0]}99` : null),
});

const status = z.union([
  z
    .int()
    .min(200)
    .max(599)
    .transform((code): StatusRange => [code, code]),
  statusRange(),
]);

const statuses = z.union([status.transform((range) => [range]), z.array(status).min(1)]);

const block = z.strictObject({
  path: target()
    .optional()
    .describe("What to `GET`. Without it, a connection that can be made, TLS included, is all that is asked for."),
  status: defaultsTo("200-399", statuses).describe("The answers that pass: a status, a range, or a list of them."),
  host: authority().optional().describe("The `Host` of the check. By default that of the server's URL."),
  interval: defaultsTo(formatDuration(INTERVAL_MS), duration()).describe("From one check of a server to the next."),
  timeout: defaultsTo(formatDuration(TIMEOUT_MS), duration()).describe(
    "How long a check may take until the head of the answer is there.",
  ),
  fails: defaultsTo(FAILS, z.int().min(1).max(100)).describe(
    "A server is left out after so many checks in a row that failed; after the first one if it has never passed any.",
  ),
  passes: defaultsTo(PASSES, z.int().min(1).max(100)).describe("And is used again after so many that passed."),
});

/** How the servers of an upstream are checked. */
export interface HealthConfig {
  /** null: a connection is enough. */
  readonly path: string | null;
  readonly statuses: readonly StatusRange[];
  /** null: that of the server. */
  readonly host: string | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** In a row. */
  readonly fails: number;
  readonly passes: number;
}

export const healthOptions = z
  .union([target().transform((path): z.output<typeof block> => ({ path })), block])
  .transform(
    (given): HealthConfig => ({
      path: given.path ?? null,
      statuses: given.status ?? STATUSES,
      host: given.host ?? null,
      intervalMs: given.interval ?? INTERVAL_MS,
      timeoutMs: given.timeout ?? TIMEOUT_MS,
      fails: given.fails ?? FAILS,
      passes: given.passes ?? PASSES,
    }),
  );
