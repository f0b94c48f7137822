/**
 * The `limits` block at its three places: for all servers, for one server, for one route. Nothing has a default here: what
 * an inner block does not say comes from the outer one, and in the end from LIMITS_DEFAULT.
 */
import { z } from "zod";
import {
  BODY_PROGRESS_TIMEOUT_MS,
  FIELDS_MAX,
  HEAD_BYTES_MAX,
  HEAD_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  REQUEST_LINE_BYTES_MAX,
  TUNNEL_IDLE_MS,
} from "../core/limits.ts";
import { defaultsTo, duration, formatDuration, formatSize, size, sizeBetween } from "../core/option-types.ts";
import type { LimitsConfig, RouteLimitsConfig } from "./config.ts";

const KiB = 1024;
/** A head is kept whole in memory, for every connection: beyond this a limit is none. */
const HEAD_BYTES_BOUND = 1024 * KiB;

const none = z.literal("none").transform((): null => null);

const routeFields = {
  body: defaultsTo("none", z.union([none, size()])).describe(
    "Bytes of a request's body; a larger one gets 413. `none`: any size, in constant memory.",
  ),
  bodyTimeout: defaultsTo(formatDuration(BODY_PROGRESS_TIMEOUT_MS), duration()).describe(
    "Without a byte of a body moving: from a client that sends one, or to a client that does not read its answer.",
  ),
  tunnelIdle: defaultsTo(formatDuration(TUNNEL_IDLE_MS), duration()).describe(
    "Without a byte either way in an upgraded connection, such as a WebSocket. Noticed at most a fourth of this time late. For a WebSocket of which one side has ended it is 10 s, once the other has what was sent.",
  ),
  tunnelLifetime: defaultsTo("none", z.union([none, duration()])).describe(
    "The age at which an upgraded connection is closed, busy or not. `none`: never.",
  ),
};

export const routeLimits = z.strictObject(routeFields);

export const limits = z.strictObject({
  head: defaultsTo(formatSize(HEAD_BYTES_MAX), sizeBetween(KiB, HEAD_BYTES_BOUND)).describe(
    "Bytes of a head, start line included, of requests (431) and of answers (502).",
  ),
  requestLine: defaultsTo(formatSize(REQUEST_LINE_BYTES_MAX), sizeBetween(256, HEAD_BYTES_BOUND)).describe(
    "Bytes of the request line; a longer one gets 414.",
  ),
  fields: defaultsTo(FIELDS_MAX, z.int().min(8).max(10_000)).describe("Fields in a head; more get 431."),
  headTimeout: defaultsTo(formatDuration(HEAD_TIMEOUT_MS), duration()).describe(
    "From the first byte of a request to the end of its head; after it the client gets 408.",
  ),
  idle: defaultsTo(formatDuration(IDLE_TIMEOUT_MS), duration()).describe(
    "Between two requests on one connection; after it the connection is closed.",
  ),
  ...routeFields,
});

export type LimitsBlock = z.output<typeof limits>;

export const LIMITS_DEFAULT: LimitsConfig = {
  headBytesMax: HEAD_BYTES_MAX,
  requestLineBytesMax: REQUEST_LINE_BYTES_MAX,
  fieldsMax: FIELDS_MAX,
  headTimeoutMs: HEAD_TIMEOUT_MS,
  idleTimeoutMs: IDLE_TIMEOUT_MS,
  bodyBytesMax: null,
  bodyTimeoutMs: BODY_PROGRESS_TIMEOUT_MS,
  tunnelIdleMs: TUNNEL_IDLE_MS,
  tunnelLifetimeMs: null,
};

/** The limits of a server: what `inner` says, else those of `outer`. */
export function resolveLimits(outer: LimitsConfig, inner: LimitsBlock = {}): LimitsConfig {
  return {
    headBytesMax: inner.head ?? outer.headBytesMax,
    requestLineBytesMax: inner.requestLine ?? outer.requestLineBytesMax,
    fieldsMax: inner.fields ?? outer.fieldsMax,
    headTimeoutMs: inner.headTimeout ?? outer.headTimeoutMs,
    idleTimeoutMs: inner.idle ?? outer.idleTimeoutMs,
    ...resolveRouteLimits(outer, inner),
  };
}

/** The limits of a route. `none` (null) is said by the inner block too, so only what is missing comes from `outer`. */
export function resolveRouteLimits(
  outer: RouteLimitsConfig,
  inner: z.output<typeof routeLimits> = {},
): RouteLimitsConfig {
  return {
    bodyBytesMax: inner.body === undefined ? outer.bodyBytesMax : inner.body,
    bodyTimeoutMs: inner.bodyTimeout ?? outer.bodyTimeoutMs,
    tunnelIdleMs: inner.tunnelIdle ?? outer.tunnelIdleMs,
    tunnelLifetimeMs: inner.tunnelLifetime === undefined ? outer.tunnelLifetimeMs : inner.tunnelLifetime,
  };
}
