/**
 * Whether the features of a route stand in an order in which they mean what they say. What it looks for are fields of the
 * request: an authentication feature reads some, and sets others by which the upstream learns who asks. Whoever else touches
 * those, before or behind, undoes it.
 *
 * It is asked once every value of the file is known to be right. Plugins are not looked into: what they do is known to
 * nobody here.
 */
import { type Claims, claimsOf, type FeatureUse } from "./identity-fields.ts";
import type { Finding, Path } from "./problems.ts";
import type { ConfigBlocks } from "./schema.ts";

/** Everything that is wrong with the lists of features of a file. */
export function useOrderProblems({ servers }: ConfigBlocks): readonly Finding[] {
  return Object.entries(servers).flatMap(([name, server]) => {
    const path = ["servers", name];
    const routes = server.routes ?? [];
    return [
      ...problemsOf(server.use ?? [], path),
      ...problemsOf(server.forward?.use ?? [], [...path, "forward"]),
      ...(server.forward?.cache === undefined ? [] : secondCache(server.forward.use ?? [], [...path, "forward"])),
      ...routes.flatMap((route, index) => problemsOf(route.use ?? [], [...path, "routes", index])),
    ];
  });
}

function problemsOf(use: readonly FeatureUse[], route: Path): readonly Finding[] {
  const findings: Finding[] = [];
  const fail = (index: number, path: Path, message: string): void => {
    findings.push({ path: [...route, "use", index, ...path], at: "key", message });
  };
  const claims = use.map(claimsOf);
  for (const [index, own] of claims.entries()) {
    if (own === null) continue;
    const earlier = claims.slice(0, index).filter((other) => other !== null);
    for (const message of conflictsOf(own, earlier)) fail(index, [own.feature], message);
  }
  const cacheAt = use.findIndex(({ feature }) => feature === "cache");
  for (const [index, { feature }] of use.entries()) {
    if (cacheAt < 0 || index <= cacheAt) continue;
    if (feature === "cache") fail(index, [feature], "stands behind another cache, which answers in its place");
    else if (claims[index] !== null || feature === "ipAllow") {
      fail(index, [feature], "stands behind the cache, which gives what it keeps to everybody: put it before cache");
    }
  }
  for (const [index, item] of use.slice(0, Math.max(cacheAt, 0)).entries()) {
    if (isUnknownToCache(item, use[cacheAt]!)) {
      const message = "tells the upstream who asks, and not the cache behind it: name the field by identityHeader";
      fail(index, [item.feature], message);
    }
  }
  for (const [index, item] of use.entries()) {
    for (const { change, name } of changesOf(item)) {
      const message = conflictOfChange(change, name, index, claims);
      if (message !== null) fail(index, ["headers", "request", change], message);
    }
  }
  return findings;
}

/** Answers to one of its users would be kept for all of them, as if nobody had said who asks. What is in the key is told apart by that. */
function isUnknownToCache(item: FeatureUse, cache: FeatureUse): boolean {
  if (item.feature !== "forwardAuth" || cache.feature !== "cache") return false;
  const { identityHeader, responseHeaders } = item.options;
  if (identityHeader !== undefined) return false;
  const { headers } = cache.options.key;
  return !responseHeaders.every((pattern) => "name" in pattern && headers.includes(pattern.name));
}

/** `cache` of `forward` stands behind everything in `use`. */
function secondCache(use: readonly FeatureUse[], path: Path): readonly Finding[] {
  const index = use.findIndex(({ feature }) => feature === "cache");
  if (index < 0) return [];
  return [{ path: [...path, "cache"], at: "key", message: `is there twice: use[${index}] is a cache, too` }];
}

function conflictsOf(own: Claims, earlier: readonly Claims[]): readonly string[] {
  const messages = own.sets.names
    .filter((name) => own.reads.includes(name) && own.replaces !== true)
    .map((name) => `tells the upstream who asks in ${name}, where the client sends its credentials`);
  for (const other of earlier) {
    for (const name of own.reads) {
      if (other.reads.includes(name) && other.token === "taken" && own.token !== undefined)
        messages.push(
          `looks for its token in ${name}, where ${other.feature} before it takes it away: use forward: true`,
        );
      else if (other.reads.includes(name) && !(other.token === "kept" && own.token !== undefined))
        messages.push(
          `looks for credentials in ${name}, as ${other.feature} before it does: no request can satisfy both`,
        );
      // A service may well be the one that gives the token.
      const isGiven = other.feature === "forwardAuth" && own.token !== undefined;
      if (other.sets.has(name) && !isGiven)
        messages.push(`looks for credentials in ${name}, which ${other.feature} before it sets`);
    }
    for (const name of setByBoth(own, other))
      messages.push(
        `sets ${name}, which ${other.feature} before it sets too: only the last one would reach the upstream`,
      );
    for (const name of own.sets.names) {
      if (other.reads.includes(name) && own.replaces !== true)
        messages.push(`sets ${name}, where ${other.feature} before it looks for credentials: use another field`);
    }
  }
  return messages;
}

/** As far as names tell: of two regular expressions nobody can say whether they meet. */
function setByBoth(own: Claims, other: Claims): ReadonlySet<string> {
  return new Set([
    ...own.sets.names.filter((name) => other.sets.has(name)),
    ...other.sets.names.filter((name) => own.sets.has(name)),
  ]);
}

type Change = "set" | "add" | "remove";

/** null: nothing is wrong. */
function conflictOfChange(
  change: Change,
  name: string,
  index: number,
  claims: readonly (Claims | null)[],
): string | null {
  for (const [at, other] of claims.entries()) {
    if (other === null) continue;
    if (at > index && other.reads.some((read) => covers(name, read))) {
      return change === "remove"
        ? `takes ${name} away before ${other.feature} looks for credentials there: nobody could pass`
        : `gives every request the ${name} in which ${other.feature} behind it looks for credentials: everybody would pass`;
    }
    if (change !== "remove" && other.sets.has(name)) {
      return at > index
        ? `has no effect: ${other.feature} behind it removes ${name} before it sets its own`
        : `overrides ${name}, by which ${other.feature} tells the upstream who asks`;
    }
  }
  return null;
}

/** A name in `remove` may end in "*". */
function covers(name: string, other: string): boolean {
  return name.endsWith("*") ? other.startsWith(name.slice(0, -1)) : other === name;
}

/** What `headers` does to the request. */
function changesOf(use: FeatureUse): readonly { readonly change: Change; readonly name: string }[] {
  if (use.feature !== "headers") return [];
  const { set, add, remove } = use.options.request;
  return [
    ...Object.keys(set).map((name) => ({ change: "set" as const, name })),
    ...Object.keys(add).map((name) => ({ change: "add" as const, name })),
    ...remove.map((name) => ({ change: "remove" as const, name })),
  ];
}
