/**
 * Whether the features of a route stand in an order in which they mean what they say. What it looks for are fields of the
 * request: an authentication feature reads some, and sets others by which the upstream learns who asks. Whoever else touches
 * those, before or behind, undoes it.
 *
 * It reads the file's own values, as checks.ts does. Plugins are not looked into: what they do is known to nobody here.
 */
import { parseKeyPlace } from "../features/api-key/options.ts";
import { isPlugin } from "./code.ts";

type Mapping = Readonly<Record<string, unknown>>;

/** What an authentication feature does with fields of the request; names in lower case. */
interface Claims {
  readonly feature: string;
  /** Where it looks for credentials. */
  readonly reads: readonly string[];
  /** Where it tells the upstream who asks. */
  readonly sets: readonly string[];
  /** Its credentials are a token. Two features may look at one token, unless the first takes it away. */
  readonly token?: "kept" | "taken";
  /** What it sets is for the upstream alone, in the place of what the client has sent there. */
  readonly replaces?: boolean;
}

export interface UseOrderProblem {
  /** The item of `use`. */
  readonly index: number;
  /** From the item to the field that is to blame. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Everything that is wrong with a list of features. */
export function useOrderProblems(use: readonly unknown[]): readonly UseOrderProblem[] {
  const problems: UseOrderProblem[] = [];
  const claims = use.map(claimsOf);
  for (const [index, own] of claims.entries()) {
    if (own === null) continue;
    const earlier = claims.slice(0, index).filter((other) => other !== null);
    problems.push(...conflictsOf(own, earlier).map((message) => ({ index, path: [own.feature], message })));
  }
  for (const [index, item] of use.entries()) {
    for (const { change, name } of changesOf(item)) {
      const path = ["headers", "request", change];
      const message = conflictOfChange(change, name, index, claims);
      if (message !== null) problems.push({ index, path, message });
    }
  }
  return problems;
}

function conflictsOf(own: Claims, earlier: readonly Claims[]): readonly string[] {
  const messages = own.sets
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
      if (other.sets.includes(name))
        messages.push(`looks for credentials in ${name}, which ${other.feature} before it sets`);
    }
    for (const name of own.sets) {
      if (other.sets.includes(name))
        messages.push(
          `sets ${name}, which ${other.feature} before it sets too: only the last one would reach the upstream`,
        );
      if (other.reads.includes(name) && own.replaces !== true)
        messages.push(`sets ${name}, where ${other.feature} before it looks for credentials: use another field`);
    }
  }
  return messages;
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
    if (change !== "remove" && other.sets.includes(name)) {
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

function claimsOf(item: unknown): Claims | null {
  if (!isMapping(item) || isPlugin(item)) return null;
  if (isMapping(item.basicAuth)) {
    return { feature: "basicAuth", reads: ["authorization"], sets: names(item.basicAuth.userHeader) };
  }
  if (isMapping(item.apiKey)) {
    const { from = "header:x-api-key", nameHeader } = item.apiKey;
    return { feature: "apiKey", reads: [from].flat().flatMap(fieldOfPlace), sets: names(nameHeader) };
  }
  if (isMapping(item.clientCertificate)) {
    const { headers } = item.clientCertificate;
    return { feature: "clientCertificate", reads: [], sets: isMapping(headers) ? names(Object.keys(headers)) : [] };
  }
  if (isMapping(item.oidc)) {
    const { claims, forward = "none" } = item.oidc;
    const sets = isMapping(claims) ? names(Object.keys(claims)) : [];
    // Its cookies are its own: no other feature looks for credentials there.
    return { feature: "oidc", reads: [], sets: forward === "none" ? sets : [...sets, "authorization"] };
  }
  if (isMapping(item.credentials)) {
    const { token, inject } = item.credentials;
    const injected = isMapping(inject) && isMapping(inject.headers) ? Object.keys(inject.headers) : ["authorization"];
    const isKept = isMapping(token) && token.forward === true;
    const reads = fieldsOfToken(token);
    return { feature: "credentials", reads, sets: names(injected), token: isKept ? "kept" : "taken", replaces: true };
  }
  if (isMapping(item.jwt)) {
    const { headers, forward } = item.jwt;
    const sets = isMapping(headers) ? names(Object.keys(headers)) : [];
    return { feature: "jwt", reads: fieldsOfToken(item.jwt), sets, token: forward === false ? "taken" : "kept" };
  }
  return null;
}

/** The fields in which a token is looked for. Other cookies than its own are nobody's business. */
function fieldsOfToken(token: unknown): readonly string[] {
  if (!isMapping(token)) return [];
  const { bearer, header, cookie, query } = token;
  const isBearer = bearer === true || (header === undefined && cookie === undefined && query === undefined);
  return [...(isBearer ? ["authorization"] : []), ...names(header)];
}

function fieldOfPlace(text: unknown): readonly string[] {
  const place = typeof text === "string" ? parseKeyPlace(text) : null;
  if (place === null || place.kind === "query") return [];
  return [place.kind === "bearer" ? "authorization" : place.name];
}

/** What `headers` does to the request. */
function changesOf(item: unknown): readonly { readonly change: Change; readonly name: string }[] {
  const headers = isMapping(item) && !isPlugin(item) ? item.headers : null;
  const request = isMapping(headers) && isMapping(headers.request) ? headers.request : {};
  const { set, add, remove } = request;
  const changed = (change: Change, from: unknown) => names(from).map((name) => ({ change, name }));
  return [
    ...changed("set", isMapping(set) ? Object.keys(set) : []),
    ...changed("add", isMapping(add) ? Object.keys(add) : []),
    ...changed("remove", remove),
  ];
}

/** Of one name or a list of them, those that are text, in lower case. */
function names(value: unknown): readonly string[] {
  return [value].flat().flatMap((name) => (typeof name === "string" ? [name.toLowerCase()] : []));
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
