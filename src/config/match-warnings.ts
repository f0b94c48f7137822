/**
 * Paths and cookies that match less than they seem to, or nothing. nginx and many others take `/api/` for the beginning of paths; here
 * it is one path, and what is below it meets another route, where nothing may be asked of it. It is asked once every value of the file
 * is known to be right.
 *
 * Not told is what is often meant so: a page that is redirected to a fixed place or answered with success, a path whose other
 * spelling (`/api`) stands beside it, and a server that says elsewhere what is below it.
 */
import type { Finding, Path } from "./problems.ts";
import type { RouteBlock } from "./route-schema.ts";
import type { ConfigBlocks } from "./schema.ts";

export function matchWarnings({ servers }: ConfigBlocks): readonly Finding[] {
  return Object.entries(servers).flatMap(([name, { routes = [] }]) =>
    routes.flatMap((route, index) => {
      const path: Path = ["servers", name, "routes", index, "match", "path"];
      return [
        ...foldersAlone(route, routes, path),
        ...rootAlone(route, routes, path),
        ...cookieWhole(route, path),
        ...inOtherForm(route, path),
      ];
    }),
  );
}

function foldersAlone(route: RouteBlock, routes: readonly RouteBlock[], path: Path): readonly Finding[] {
  if (isForOnePage(route)) return [];
  const own = patternsOf(route);
  return own.flatMap((pattern, index): readonly Finding[] => {
    if (pattern === "/" || !pattern.endsWith("/") || own.includes(pattern.slice(0, -1))) return [];
    if (routes.some((one) => patternsOf(one).includes(`${pattern}*`))) return [];
    const message = `matches ${pattern} alone: write ${pattern}* for that and all below it, or ${regexOf(pattern)} if it is meant so`;
    return [{ path: [...path, index], at: "value", message }];
  });
}

/** The root alone is a page like others. It is hardly meant when it is all that an upstream gets, and the rest of the site goes nowhere. */
function rootAlone(route: RouteBlock, routes: readonly RouteBlock[], path: Path): readonly Finding[] {
  const { match, proxy } = route;
  if (proxy === undefined || match === undefined || patternsOf(route).join() !== "/") return [];
  const { host, path: _path, scheme: _scheme, ...conditions } = match;
  if (Object.values(conditions).some((condition) => condition !== null)) return [];
  const others = routes.filter((other) => other !== route);
  const target = JSON.stringify(proxy.to);
  const isElsewhere = others.some(
    (other) => JSON.stringify(other.proxy?.to) === target || (takesAllPaths(other) && sharesHost(other, host)),
  );
  if (isElsewhere) return [];
  const message = `matches the root alone, and nothing else goes to this upstream: write /* for every path, or ${regexOf("/")} if it is meant so`;
  return [{ path, at: "value", message }];
}

/** Browsers send all cookies in one field, so that it is one of them only where there are no others. */
function cookieWhole({ match }: RouteBlock, path: Path): readonly Finding[] {
  const named = match?.header?.find(({ name, values }) => name === "cookie" && values !== null);
  if (named === undefined) return [];
  const message = "is compared with all cookies of a request: write cookie: { NAME: VALUE } for one of them";
  return [{ path: [...path.slice(0, -1), "header"], at: "value", message }];
}

/** What stands in brackets is one of many characters, or none of them, and no text of a path. */
const CHARACTER_CLASS = /(?<!\\)\[(?:\\.|[^\]\\])*\]/gsu;

/** Of an expression: what no path has in its one form, where other proxies compare paths that were decoded. */
function inOtherForm({ match }: RouteBlock, pathOfPath: Path): readonly Finding[] {
  const path = [...pathOfPath.slice(0, -1), "pathRegex"];
  return (match?.pathRegex ?? []).flatMap((regex, index): readonly Finding[] => {
    const text = regex.replaceAll(CHARACTER_CLASS, "[]");
    const raw = /[^\x21-\x7e]/u.exec(text)?.[0] ?? /%(?:[a-f][\da-f]|\d[a-f])/i.exec(text)?.[0];
    const written = raw?.startsWith("%") ? raw.toUpperCase() : encodeURIComponent((raw ?? "").toWellFormed());
    if (raw === undefined || raw === written) return [];
    const message = `${JSON.stringify(raw)} is in no path as routes see it: write ${written}`;
    return [{ path: [...path, index], at: "value", message }];
  });
}

function patternsOf({ match }: RouteBlock): readonly string[] {
  return match?.path ?? [];
}

function isForOnePage({ redirect, respond }: RouteBlock): boolean {
  if (respond !== undefined) return respond.status < 400;
  return redirect?.to.every((part) => typeof part === "string" || !["path", "uri"].includes(part.part)) ?? false;
}

function takesAllPaths(route: RouteBlock): boolean {
  if (route.match?.path == null) return route.match?.pathRegex == null;
  return route.match.path.includes("/*");
}

function sharesHost({ match }: RouteBlock, host: readonly string[] | null): boolean {
  return match?.host == null || match.host.join() === host?.join();
}

/** What says the same, and cannot be taken for more. */
function regexOf(pattern: string): string {
  return `pathRegex ${JSON.stringify(`^${pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`)}`;
}
