/** `headgate explain`: which server, route, features and upstream a request would meet, and why no earlier route took it. */
import net from "node:net";
import type { Config, MatchConfig, RouteConfig, ServerConfig } from "../config/config.ts";
import { joinOr } from "../config/problems.ts";
import { type AskedRequest, asksServerItself, forwardRequestOf, hasUser, requestOf } from "../server/asked-request.ts";
import { type Explanation, explainRequest, serversAt } from "../server/explain.ts";
import { explainForward } from "../server/explain-forward.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import { chooseConfigFile, loadConfigFile } from "./config-file.ts";
import { describeUse } from "./describe-use.ts";
import { cacheRows } from "./explain-cache.ts";
import { forwardRows } from "./explain-forward.ts";

export interface ExplainOptions {
  readonly config?: string;
  readonly header: readonly string[];
  readonly client: string;
  readonly user?: string;
  readonly server?: string;
}

/** The lines of the explanation. Rejects with a CommandError. */
export async function explain(method: string, url: string, options: ExplainOptions): Promise<readonly string[]> {
  const { client, user = null } = options;
  const asked = askedFor(method, url, options);
  const isPath = asksServerItself(url);
  // What it is depends on who is asked; whether it is one at all does not.
  const direct = method === "CONNECT" ? null : checked(() => requestOf(asked));
  const forwarded = isPath ? null : checked(() => forwardRequestOf(asked));
  const { config } = await loadConfigFile(chooseConfigFile(options.config));
  // A client connects to where its URL points, whatever its Host field says.
  const place = direct === null || isPath ? direct : requestOf({ ...asked, headers: [] });
  const { server, isForwarded } = chooseServer(config, place, isPath, options.server);
  const request = isForwarded || direct === null ? forwarded! : direct;
  if (isPath && server.listen.every(({ tls }) => tls !== null)) request.scheme = "https";
  const as = user === null ? "" : `, as ${user}`;
  const asks = request.upgrade === null ? "" : ` (upgrade to ${request.upgrade})`;
  const rows = isForwarded
    ? forwardRows(
        await explainForward(config, server.name, request, insideOf(request, direct), client, user),
        request,
        method,
      )
    : rowsOf(config, await explainRequest(config, server.name, request, client), request);
  return [
    `${method} ${url} from ${client}${as}${asks}`,
    ...[...rows].map(([label, text]) => `${label.padEnd(9)} ${text}`),
  ];
}

/** What https is asked for goes through the tunnel that the proxy is asked for; null: there is none, or nothing is asked for inside. */
function insideOf(request: AskedFor, direct: AskedFor | null): AskedFor | null {
  return request.method === "CONNECT" ? direct : null;
}

type AskedFor = ReturnType<typeof requestOf>;

function askedFor(method: string, url: string, { header, client }: ExplainOptions): AskedRequest {
  if (method !== method.toUpperCase()) throw usage(`the method is written in upper case: ${method.toUpperCase()}`);
  if (hasUser(url)) throw usage("a URL has no user and no password here: --user NAME says who asks");
  if (net.isIP(client) === 0) throw usage(`option '--client <ip>': ${JSON.stringify(client)} is no IP address`);
  const headers = header.map((line) => {
    const [, name, value] = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw usage(`option '--header <field>': expected 'Name: value', got ${JSON.stringify(line)}`);
    }
    return [name, value] as const;
  });
  return { method, url, headers };
}

function checked<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw usage((error as Error).message);
  }
}

function usage(message: string): CommandError {
  return new CommandError([`error: ${message}`], STATUS_USAGE);
}

interface Chosen {
  readonly server: ServerConfig;
  /** It is asked as a forward proxy: the URL points elsewhere. */
  readonly isForwarded: boolean;
}

/** `place: null`: the request is for a forward proxy and for nothing else. A path alone is asked of a server itself. */
function chooseServer(config: Config, place: AskedFor | null, isPath: boolean, named: string | undefined): Chosen {
  const at = place === null ? [] : serversAt(config, place);
  const isElsewhere = !isPath && at.length === 0;
  if (named !== undefined) {
    const server = config.servers.find(({ name }) => name === named);
    if (server === undefined)
      throw usage(`no server has the name ${JSON.stringify(named)}; there is ${namesOf(config.servers)}`);
    return { server, isForwarded: server.forward !== null && !isPath && !at.includes(server) };
  }
  const proxies = isElsewhere ? config.servers.filter(({ forward }) => forward !== null) : [];
  const candidates = proxies.length > 0 ? proxies : at.length > 0 ? at : config.servers;
  const [only] = candidates;
  if (candidates.length === 1 && only !== undefined) return { server: only, isForwarded: proxies.length > 0 };
  throw usage(`more than one server could be meant: name one with --server (${namesOf(candidates)})`);
}

function namesOf(servers: readonly ServerConfig[]): string {
  return joinOr(servers.map(({ name }) => name));
}

type Row = readonly [label: string, text: string];

function* rowsOf(config: Config, explanation: Explanation, request: AskedFor): Generator<Row> {
  const { server, refused, route } = explanation;
  yield ["server", `${server.name}, which listens on ${server.listen.map(({ text }) => text).join(", ")}`];
  if (explanation.client !== "" && refused === null) yield ["client", explanation.client];
  if (refused !== null) {
    yield ["refused", `${refused.status}: ${refused.message}`];
    return;
  }
  yield ["path", explanation.path];
  for (const passed of explanation.passedOver) {
    yield ["no match", `${passed.route.name}: ${whyNot(passed.route.match, passed.key, explanation, request)}`];
  }
  if (explanation.isPac) {
    yield ["route", `the PAC file of ${server.name}`];
    return;
  }
  if (route === null) {
    yield ["route", "none: the answer is 404"];
    return;
  }
  yield ["route", route.name];
  for (const use of route.use) yield ["use", describeUse(use)];
  for (const cache of explanation.caches) yield* cacheRows(cache);
  yield* actionRows(config, route, request);
}

function whyNot(match: MatchConfig, key: keyof MatchConfig, { path, client }: Explanation, request: AskedFor): string {
  switch (key) {
    case "host":
      return `the host ${JSON.stringify(request.host)} is not ${joinOr(match.host ?? [])}`;
    case "path":
      return `the path is not ${joinOr(match.path ?? [])}`;
    case "pathRegex":
      return `the path ${path} does not match ${joinOr((match.pathRegex ?? []).map((regex) => `/${regex}/`))}`;
    case "method":
      return `the method is not ${joinOr(match.method ?? [])}`;
    case "header":
      return `the header fields are not as wanted: ${(match.header ?? []).map(({ name }) => name).join(", ")}`;
    case "cookie":
      return `the cookies are not as wanted: ${(match.cookie ?? []).map(({ name }) => name).join(", ")}`;
    case "query":
      return `the query is not as wanted: ${(match.query ?? []).map(({ name }) => name).join(", ")}`;
    case "client":
      return `the client ${client} is not in ${joinOr(match.client ?? [])}`;
    case "websocket":
      return match.websocket === true ? "it is no upgrade to WebSocket" : "it is an upgrade to WebSocket";
    case "scheme":
      return `the scheme is not ${match.scheme}`;
  }
}

function* actionRows(config: Config, { action, upgrade }: RouteConfig, request: AskedFor): Generator<Row> {
  switch (action.kind) {
    case "respond":
      yield ["respond", String(action.status)];
      return;
    case "redirect":
      yield [
        "redirect",
        `${action.status} ${action.to.map((part) => (typeof part === "string" ? part : `{${part.part}}`)).join("")}`,
      ];
      return;
    case "kisscache":
      yield ["handle", `kisscache, which keeps downloads in ${action.cache.cache}`];
      return;
    case "handle":
      yield ["handle", action.handle.name || "a function"];
      return;
    case "proxy": {
      const upstream = config.upstreams.find(({ name }) => name === action.upstream)!;
      const servers = upstream.servers.map(({ url, weight }) => (weight === 1 ? url : `${url} (weight ${weight})`));
      const isOne = servers.length === 1;
      const name = isOne && servers[0] === upstream.name ? "" : `${upstream.name}: `;
      yield ["proxy", `${name}${servers.join(", ")}${isOne ? "" : ` (${upstream.balance})`}`];
      if (action.use.host !== "preserve") {
        yield ["host", typeof action.use.host === "string" ? "that of the server's URL" : action.use.host.name];
      }
      if (request.upgrade !== null) {
        yield [
          "upgrade",
          upgrade.includes(request.upgrade) ? `${request.upgrade} passes` : `${request.upgrade} does not pass`,
        ];
      }
    }
  }
}
