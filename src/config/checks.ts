/**
 * Whether the fields of a file fit each other: names that are used exist, a route ends in one way, an address is listened
 * on once. It reads the file's own values, whatever else is wrong with them, so that one run finds all mistakes; what has
 * the wrong kind is passed over here, because the schema has said so already.
 */

import { CACHE_REFERENCE } from "../caching/options.ts";
import {
  doOverlap,
  formatListenAddress,
  type ListenAddress,
  listenAddress,
  serviceAddress,
} from "../core/option-addresses.ts";
import { isStoreUrl, STORE_REFERENCE } from "../identity/stores/options.ts";
import { unnamedCache } from "./caches.ts";
import { faultOfPlugin, isMeantAsPlugin } from "./code.ts";
import { hasFieldNames, takesKind } from "./known-fields.ts";
import { type Finding, formatPath, joinOr, nearest, type Path } from "./problems.ts";
import { featureFields, isServerUrl } from "./route-schema.ts";

type Mapping = Readonly<Record<string, unknown>>;

const ACTIONS = ["proxy", "respond", "redirect", "handle"] as const;
/** Fields that say something about requests on their way to an upstream. */
const PROXY_ONLY = ["upgrade", "timeouts"] as const;

/** Any item of any `use`: they all have the same schema. */
const PLACE_OF_USE: Path = ["servers", "any", "routes", 0, "use", 0];

export interface Checks {
  readonly errors: readonly Finding[];
  /** What is possible but hardly meant. */
  readonly warnings: readonly Finding[];
}

export function checkConfig(root: unknown): Checks {
  const checks = new Checker(mapping(root));
  checks.run();
  return checks;
}

class Checker implements Checks {
  readonly errors: Finding[] = [];
  readonly warnings: Finding[] = [];
  readonly #root: Mapping;
  readonly #upstreams: Mapping;
  readonly #used = new Set<string>();
  readonly #stores: Mapping;
  readonly #usedStores = new Set<string>();
  readonly #caches: Mapping;
  readonly #usedCaches = new Set<string>();
  /** By the place, what the text there names. */
  readonly #references = new Map<string, "store" | "cache" | null>();
  /** What is listened on, with the path where it was named. */
  readonly #listening: { readonly address: ListenAddress; readonly path: Path }[] = [];

  constructor(root: Mapping) {
    this.#root = root;
    this.#upstreams = mapping(root.upstreams);
    this.#stores = mapping(root.stores);
    this.#caches = mapping(root.caches);
  }

  run(): void {
    this.#checkSpellings(this.#root, [], new Set());
    const access = mapping(mapping(this.#root.log).access);
    if (access.fields !== undefined && (access.format ?? "json") !== "json") {
      this.#fail(["log", "access", "fields"], `only has a meaning with "format: json"`, "key");
    }
    const { admin } = this.#root;
    if (isMapping(admin)) this.#checkListen(admin.listen, ["admin", "listen"]);
    else this.#checkListen(admin, ["admin"]);
    for (const [name, upstream] of Object.entries(this.#upstreams)) {
      const path = ["upstreams", name];
      this.#checkHash(mapping(upstream), {}, path);
      this.#checkTls(mapping(upstream), list(mapping(upstream).servers), path);
    }
    for (const [name, server] of Object.entries(mapping(this.#root.servers))) {
      if (isMapping(server)) this.#checkServer(server, ["servers", name]);
    }
    for (const [name, cache] of Object.entries(this.#caches)) {
      const { shared } = mapping(cache);
      const path = ["caches", name, "shared"];
      if (typeof shared === "string" && !isStoreUrl(shared)) this.#checkReference("store", shared, path);
    }
    for (const name of Object.keys(this.#upstreams)) {
      if (this.#used.has(name)) continue;
      this.#warn(["upstreams", name], "no route sends requests here", "key");
    }
    for (const name of Object.keys(this.#stores)) {
      if (!this.#usedStores.has(name)) this.#warn(["stores", name], "no feature or cache uses it", "key");
    }
    for (const name of Object.keys(this.#caches)) {
      if (!this.#usedCaches.has(name)) this.#warn(["caches", name], "no `cache` uses it", "key");
    }
  }

  /** Names of header fields have no case: of two spellings of one, only the last would count. */
  #checkSpellings(block: object, path: Path, seen: Set<object>): void {
    // What a program has made may lead back to itself.
    if (seen.has(block) || (!Array.isArray(block) && isMeantAsPlugin(block))) return;
    seen.add(block);
    const names = Array.isArray(block) ? [] : Object.keys(block);
    const plain = names.map((name) => name.toLowerCase());
    if (new Set(plain).size < names.length && hasFieldNames(path)) {
      for (const [index, name] of names.entries()) {
        const first = plain.indexOf(plain[index]!);
        if (first === index) continue;
        this.#fail([...path, name], `is the same field as ${names[first]}, which is there already`, "key");
      }
    }
    for (const [key, value] of Object.entries(block)) {
      if (typeof value !== "object" || value === null) continue;
      this.#checkSpellings(value, [...path, Array.isArray(block) ? Number(key) : key], seen);
    }
  }

  #checkServer(server: Mapping, path: Path): void {
    const listen = Array.isArray(server.listen) ? server.listen : [server.listen];
    for (const [index, item] of listen.entries()) {
      this.#checkListen(item, Array.isArray(server.listen) ? [...path, "listen", index] : [...path, "listen"]);
    }
    this.#checkProtocols(server, listen, path);
    this.#checkTransparent(server, listen, path);
    this.#checkClientAuth(server, listen, path);
    for (const [index, item] of list(mapping(server.forward).use).entries()) {
      this.#checkUse(item, [...path, "forward", "use", index]);
    }
    this.#checkCache(mapping(server.forward).cache, [...path, "forward", "cache"]);
    this.#checkKisscache(server.handle, [...path, "handle"], server);
    for (const [index, route] of list(server.routes).entries()) {
      this.#checkKisscache(mapping(route).handle, [...path, "routes", index, "handle"], server);
    }
    const actions = ACTIONS.filter((action) => server[action] !== undefined);
    if (server.routes === undefined) {
      if (actions.length === 0 && server.forward === undefined) {
        this.#lacks(path, ["routes", ...ACTIONS, "forward"], "key");
      }
      if (actions.length === 0 && server.forward !== undefined) this.#checkWithoutRoutes(server, path);
      this.#checkRoute(server, path, true);
      return;
    }
    for (const field of [...ACTIONS, ...PROXY_ONLY, "use"]) {
      if (server[field] !== undefined)
        this.#fail([...path, field], `cannot stand beside "routes": write it in the routes`, "key");
    }
    this.#checkLoginPaths(list(server.routes), path);
    let all: Path | null = null;
    for (const [index, item] of list(server.routes).entries()) {
      const routePath = [...path, "routes", index];
      if (all !== null) this.#warn(routePath, `never reached: ${formatPath(all)} takes every request`);
      if (!isMapping(item)) continue;
      this.#checkRoute(item, routePath, false);
      if (all === null && takesAll(item.match)) all = routePath;
    }
  }

  /** What is for routes would be asked by nobody there: requests that are forwarded pass the features of `forward`. */
  #checkWithoutRoutes(server: Mapping, path: Path): void {
    for (const field of ["use", ...PROXY_ONLY]) {
      if (server[field] === undefined) continue;
      const advice = field === "upgrade" ? "" : `: for what is forwarded write forward: { ${field}: ... }`;
      this.#fail([...path, field], `is for routes, and this server has none${advice}`, "key");
    }
  }

  #checkProtocols(server: Mapping, listen: readonly unknown[], path: Path): void {
    for (const [index, item] of listen.entries()) {
      const { protocol, proxyProtocol, address } = mapping(item);
      const place = Array.isArray(server.listen) ? [...path, "listen", index] : [...path, "listen"];
      if (protocol === "socks" && server.forward === undefined) {
        this.#fail([...place, "protocol"], 'needs "forward": what comes by SOCKS goes where its client says');
      }
      if (!isMapping(proxyProtocol) || typeof address !== "string") continue;
      const isUnix = address.startsWith("unix:");
      if (isUnix && proxyProtocol.from !== undefined) {
        this.#fail(
          [...place, "proxyProtocol", "from"],
          "has no meaning with a unix socket, where every peer is one",
          "key",
        );
      } else if (!isUnix && proxyProtocol.from === undefined) {
        this.#fail([...place, "proxyProtocol"], 'needs "from": the networks of those whose headers are believed');
      }
    }
  }

  /** Clients there know of no proxy: they speak to it in no way of its own, and nobody can ask them who they are. */
  #checkTransparent(server: Mapping, listen: readonly unknown[], path: Path): void {
    for (const [index, item] of listen.entries()) {
      const { transparent, address, tls, protocol, proxyProtocol } = mapping(item);
      if (transparent !== true) continue;
      const place = [...path, "listen", ...(Array.isArray(server.listen) ? [index] : []), "transparent"];
      if (server.forward === undefined)
        this.#fail(place, 'needs "forward": what is redirected goes where it was headed');
      if (tls !== undefined) this.#fail(place, 'cannot stand beside "tls": clients speak TLS with their origin');
      if (protocol === "socks") this.#fail(place, 'cannot stand beside "protocol: socks": clients know of no proxy');
      if (proxyProtocol !== undefined) {
        this.#fail(place, 'cannot stand beside "proxyProtocol": a load balancer is a destination of its own');
      }
      if (typeof address === "string" && address.startsWith("unix:")) {
        this.#fail(place, "no firewall redirects traffic to a unix socket");
      }
      const { auth } = mapping(server.forward);
      if (isMapping(auth) && auth.optional !== true) {
        const remedy =
          'set "optional: true" there, or give the address a server of its own whose rules name its "clients"';
        this.#fail(place, `nobody can prove who it is here, and "auth" in "forward" asks everybody: ${remedy}`);
      }
    }
  }

  /** Certificates are asked for by listeners and looked at by routes: neither means anything without the other. */
  #checkClientAuth(server: Mapping, listen: readonly unknown[], path: Path): void {
    const asking = listen.flatMap((item, index) => {
      const { clientAuth } = mapping(mapping(item).tls);
      const place = Array.isArray(server.listen) ? [...path, "listen", index] : [...path, "listen"];
      return clientAuth === undefined
        ? []
        : [{ place: [...place, "tls", "clientAuth"], clientAuth: mapping(clientAuth) }];
    });
    const using = [
      { use: server.use, path },
      { use: mapping(server.forward).use, path: [...path, "forward"] },
      ...list(server.routes).map((route, index) => ({ use: mapping(route).use, path: [...path, "routes", index] })),
    ]
      .flatMap((route) =>
        list(route.use).map((item, index) => ({ item, path: [...route.path, "use", index, "clientCertificate"] })),
      )
      .filter(({ item }) => isMapping(item) && item.clientCertificate !== undefined);
    if (asking.length === 0) {
      const message = 'no address of this server asks clients for certificates: it needs "tls: { clientAuth: ... }"';
      for (const { path } of using) this.#fail(path, message, "key");
    }
    if (using.length > 0) return;
    for (const { place, clientAuth } of asking) {
      if (clientAuth.mode !== "optional") continue;
      this.#warn(
        place,
        "lets everybody in: no route of this server has clientCertificate, which would look at what clients show",
        "key",
      );
    }
  }

  #checkListen(item: unknown, path: Path): void {
    const text = isMapping(item) ? item.address : item;
    const parsed = typeof text === "string" ? listenAddress().safeParse(text) : null;
    if (parsed?.success !== true) return;
    const address = parsed.data;
    if (address.kind === "tcp" && address.port === 0) return;
    const canonical = formatListenAddress(address);
    const first = this.#listening.find((other) => doOverlap(address, other.address));
    if (first === undefined) {
      this.#listening.push({ address, path });
      return;
    }
    const other = formatListenAddress(first.address);
    const overlap = canonical === other ? "" : ` overlaps ${other}, which`;
    // Whoever comes from elsewhere writes a server for each host.
    const isOfAnother = first.path[0] === "servers" && path[0] === "servers" && first.path[1] !== path[1];
    const hint = isOfAnother
      ? ": several hosts at one address are routes of one server, each with match: { host }"
      : "";
    this.#fail(path, `${canonical}${overlap} is listened on by ${formatPath(first.path)} already${hint}`);
  }

  #checkRoute(route: Mapping, path: Path, isServer: boolean): void {
    const actions = ACTIONS.filter((action) => route[action] !== undefined);
    const [first, ...others] = actions;
    if (first === undefined && !isServer) this.#lacks(path, ACTIONS, "value");
    for (const other of others) {
      this.#fail([...path, other], `cannot stand beside ${quote(first ?? "")}: a route ends in one of them`, "key");
    }
    for (const field of PROXY_ONLY) {
      if (route[field] === undefined || first === undefined || first === "proxy") continue;
      this.#fail([...path, field], `only has a meaning beside "proxy"`, "key");
    }
    const use = list(route.use);
    for (const [index, item] of use.entries()) this.#checkUse(item, [...path, "use", index]);
    if (route.proxy !== undefined) this.#checkProxy(route.proxy, [...path, "proxy"]);
    if (isMapping(route.respond)) this.#checkRespond(route.respond, [...path, "respond"]);
  }

  #checkUse(item: unknown, path: Path): void {
    if (!isMapping(item)) return;
    if (isMeantAsPlugin(item)) {
      const why = faultOfPlugin(item);
      if (why !== null) this.#fail(path, why);
      return;
    }
    // What is undefined in a program is not said.
    const said = Object.keys(item).filter((name) => item[name] !== undefined);
    const names = said.filter((name) => Object.hasOwn(featureFields, name));
    if (said.length === 0) this.#fail(path, `needs one of ${joinOr(Object.keys(featureFields))}`);
    if (names.length > 1)
      this.#fail(path, `has ${names.join(" and ")}: give each an item of its own, in the wanted order`);
    for (const name of names) this.#checkReferences(item[name], [...path, name], [name]);
    this.#checkCache(item.cache, [...path, "cache"]);
    if (isMapping(item.forwardAuth)) this.#checkService(item.forwardAuth, [...path, "forwardAuth"]);
    this.#checkIssuers(mapping(item.jwt), [...path, "jwt"]);
    this.#checkIssuers(mapping(mapping(item.credentials).token), [...path, "credentials", "token"]);
  }

  /** RFC 8725 section 3.8: whoever has one issuer's key must not be able to speak for another one. */
  #checkIssuers({ issuer, keys }: Mapping, path: Path): void {
    const unbound = list(keys).findIndex((key) => isMapping(key) && key.issuer === undefined);
    const isForSeveral =
      issuer === undefined ? list(keys).some((key) => mapping(key).issuer !== undefined) : list(issuer).length > 1;
    if (unbound < 0 || list(keys).length < 2 || !isForSeveral) return;
    this.#warn([...path, "keys", unbound], `may sign tokens of every issuer: name its own by "issuer" here`);
  }

  /** The issuer sends browsers back to a path that must meet a route with the login, or they end in 404. */
  #checkLoginPaths(routes: readonly unknown[], path: Path): void {
    const logins = routes.flatMap((route, index) =>
      list(mapping(route).use).flatMap((item, position) => {
        const oidc = mapping(item).oidc;
        return isMapping(oidc) ? [{ route, oidc, path: [...path, "routes", index, "use", position, "oidc"] }] : [];
      }),
    );
    for (const { oidc, path: place } of logins) {
      const callback = oidc.redirectPath ?? "/oauth2/callback";
      if (typeof callback !== "string" || logins.some(({ route }) => mayTakePath(mapping(route).match, callback)))
        continue;
      this.#fail(place, `no route with this login takes its "redirectPath" ${callback}: set it to a path of this one`);
    }
  }

  /** What names no cache means the only one. A name is looked at with all others that stand in options. */
  #checkCache(block: unknown, path: Path): void {
    if (block === undefined) return;
    const isForward = path.at(-2) === "forward";
    if (isForward) this.#checkReferences(block, path, ["cache"]);
    if (typeof block === "string" || typeof mapping(block).store === "string") return;
    const names = Object.keys(this.#caches);
    const meant = unnamedCache(names);
    if (meant !== null) this.#usedCaches.add(meant);
    else this.#fail(path, `more than one cache could be meant: name one (${names.join(", ")})`);
  }

  /** What it downloads, and for whom, is decided by the rules of the forward proxy; and it keeps it in a cache. */
  #checkKisscache(handle: unknown, path: Path, server: Mapping): void {
    if (handle !== "kisscache" && mapping(handle).kisscache === undefined) return;
    if (server.forward === undefined) {
      this.#fail(path, 'needs "forward" in the same server, whose rules say who may download from where', "value");
    }
    const { store } = mapping(mapping(handle).kisscache);
    if (typeof store !== "string") return this.#checkCache({}, path);
    this.#usedCaches.add(store);
    if (Object.hasOwn(this.#caches, store)) return;
    const message = `no cache has the name ${JSON.stringify(store)}`;
    this.#fail([...path, "kisscache", "store"], message, "value", nearest(store, Object.keys(this.#caches)));
  }

  /** The stores and caches that options name, wherever those stand in them; `place` is the path from the item of `use` on. */
  #checkReferences(value: unknown, path: Path, place: Path): void {
    if (Array.isArray(value) || isMapping(value)) {
      for (const [key, inner] of Object.entries(value)) {
        const step = Array.isArray(value) ? Number(key) : key;
        this.#checkReferences(inner, [...path, step], [...place, Array.isArray(value) ? 0 : key]);
      }
      return;
    }
    if (typeof value !== "string") return;
    const kind = this.#kindNamedAt(place);
    if (kind === null || (kind === "store" && isStoreUrl(value))) return;
    this.#checkReference(kind, value, path);
  }

  #checkReference(kind: "store" | "cache", name: string, path: Path): void {
    const [all, used] = kind === "store" ? [this.#stores, this.#usedStores] : [this.#caches, this.#usedCaches];
    used.add(name);
    if (Object.hasOwn(all, name)) return;
    const there = Object.keys(all);
    const what = kind === "store" ? "URL" : "{ directory: PATH }";
    const advice = there.length === 0 ? `: "${kind}s" says what it is: ${kind}s: { ${name}: ${what} }` : "";
    this.#fail(path, `no ${kind} has the name ${JSON.stringify(name)}${advice}`, "value", nearest(name, there));
  }

  #kindNamedAt(place: Path): "store" | "cache" | null {
    const text = formatPath(place);
    let kind = this.#references.get(text);
    if (kind === undefined) {
      const takes = (reference: string): boolean => takesKind([...PLACE_OF_USE, ...place], reference);
      kind = takes(STORE_REFERENCE) ? "store" : takes(CACHE_REFERENCE) ? "cache" : null;
      this.#references.set(text, kind);
    }
    return kind;
  }

  /** A service that a feature asks: at a URL, or at an upstream. */
  #checkService(block: Mapping, path: Path): void {
    const { address } = block;
    if (typeof address !== "string") return;
    if (address.includes("://")) return this.#checkTls(block, [address], path);
    const name = address.replace(/[/?].*$/s, "");
    this.#used.add(name);
    if (Object.hasOwn(this.#upstreams, name)) {
      return this.#checkTls(block, list(mapping(this.#upstreams[name]).servers), path);
    }
    if (!serviceAddress().safeParse(address).success) return;
    const suggestion = /[.]/.test(name) ? `http://${address}` : nearest(name, Object.keys(this.#upstreams));
    this.#fail([...path, "address"], `no upstream has the name ${JSON.stringify(name)}`, "value", suggestion);
  }

  #checkProxy(proxy: unknown, path: Path): void {
    const to = isMapping(proxy) ? proxy.to : proxy;
    const overrides = isMapping(proxy) ? proxy : {};
    if (typeof to !== "string") return;
    if (isServerUrl(to)) {
      this.#checkHash(overrides, {}, path);
      this.#checkTls(overrides, [to], path);
      return;
    }
    this.#used.add(to);
    const toPath = isMapping(proxy) ? [...path, "to"] : path;
    if (Object.hasOwn(this.#upstreams, to)) {
      const upstream = mapping(this.#upstreams[to]);
      this.#checkHash(overrides, upstream, path);
      this.#checkTls(overrides, list(upstream.servers), path);
      return;
    }
    const url = `http://${to.replace(/^(?=:\d)/, "127.0.0.1")}`;
    const suggestion = /^[^/]*[:.]\S*$/.test(to) && URL.canParse(url) ? url : nearest(to, Object.keys(this.#upstreams));
    const hint = suggestion === null ? ", and it is no URL such as http://127.0.0.1:3000" : "";
    this.#fail(toPath, `no upstream has the name ${JSON.stringify(to)}${hint}`, "value", suggestion);
  }

  #checkHash(block: Mapping, outer: Mapping, path: Path): void {
    if (block.hash === undefined || (block.balance ?? outer.balance) === "hash") return;
    this.#fail([...path, "hash"], `only has a meaning with "balance: hash"`, "key");
  }

  #checkTls(block: Mapping, servers: readonly unknown[], path: Path): void {
    if (!isMapping(block.tls)) return;
    const urls = servers.map((server) => (isMapping(server) ? server.url : server));
    if (urls.length > 0 && urls.every((url) => typeof url === "string" && /^(http:\/\/|unix:)/i.test(url))) {
      this.#warn([...path, "tls"], "has no effect: no server's URL begins with https://", "key");
    }
    if (block.tls.verify === false) {
      this.#warn(
        [...path, "tls", "verify"],
        "certificates are not verified: anyone on the way can read and change the traffic",
      );
    }
  }

  #checkRespond(respond: Mapping, path: Path): void {
    const { status, body, contentType, headers } = respond;
    if (body !== undefined && (status === 204 || status === 205 || status === 304)) {
      this.#fail([...path, "body"], `an answer of status ${status} has no body`, "key");
    }
    if (contentType === undefined) return;
    if (body === undefined) this.#fail([...path, "contentType"], `only has a meaning beside "body"`, "key");
    const twice = Object.keys(mapping(headers)).find((name) => name.toLowerCase() === "content-type");
    if (twice !== undefined) this.#fail([...path, "headers", twice], `is set by "contentType" already`, "key");
  }

  #lacks(path: Path, fields: readonly string[], at: Finding["at"]): void {
    const missing = fields.map((field) => [...path, field]);
    this.errors.push({ path, at, message: `needs one of ${joinOr(fields.map(quote))}`, missing });
  }

  #fail(path: Path, message: string, at: Finding["at"] = "value", suggestion: string | null = null): void {
    this.errors.push({ path, at, message, suggestion });
  }

  #warn(path: Path, message: string, at: Finding["at"] = "value"): void {
    this.warnings.push({ path, at, message });
  }
}

/** Whether a route without further conditions takes every request. */
function takesAll(match: unknown): boolean {
  if (match === undefined) return true;
  if (!isMapping(match)) return false;
  return Object.entries(match).every(([key, value]) => key === "path" && [value].flat().includes("/*"));
}

/** Whether the patterns of a route leave room for this path; other keys of `match` are not looked at. */
function mayTakePath(match: unknown, path: string): boolean {
  const patterns = [mapping(match).path].flat().filter((pattern) => typeof pattern === "string");
  return (
    patterns.length === 0 ||
    patterns.some((pattern) =>
      pattern.endsWith("/*") ? `${path}/`.startsWith(pattern.slice(0, -1)) : pattern === path,
    )
  );
}

function quote(word: string): string {
  return `"${word}"`;
}

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function mapping(value: unknown): Mapping {
  return isMapping(value) ? value : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
