/** `headgate explain`: which server, route, features and upstream a request would meet, and why no earlier route took it. */
import net from "node:net";
import type { Config, MatchConfig, RouteConfig, ServerConfig, UseConfig } from "../config/config.ts";
import { joinOr } from "../config/problems.ts";
import { requestOf } from "../server/asked-request.ts";
import { type Explanation, explainRequest, serversFor } from "../server/explain.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import { chooseConfigFile, loadConfigFile } from "./config-file.ts";

export interface ExplainOptions {
  readonly config?: string;
  readonly header: readonly string[];
  readonly client: string;
  readonly server?: string;
}

/** The lines of the explanation. Rejects with a CommandError. */
export async function explain(method: string, url: string, options: ExplainOptions): Promise<readonly string[]> {
  const request = askedFor(method, url, options);
  const { config } = await loadConfigFile(chooseConfigFile(options.config));
  const server = chooseServer(config, request, options.server);
  const explanation = await explainRequest(config, server.name, request, options.client);
  const asks = request.upgrade === null ? "" : ` (upgrade to ${request.upgrade})`;
  const rows = [...rowsOf(config, explanation, request)].map(([label, text]) => `${label.padEnd(9)} ${text}`);
  return [`${method} ${url} from ${options.client}${asks}`, ...rows];
}

type AskedFor = ReturnType<typeof requestOf>;

function askedFor(method: string, url: string, { header, client }: ExplainOptions): AskedFor {
  if (method !== method.toUpperCase()) throw usage(`the method is written in upper case: ${method.toUpperCase()}`);
  if (net.isIP(client) === 0) throw usage(`option '--client <ip>': ${JSON.stringify(client)} is no IP address`);
  const headers = header.map((line) => {
    const [, name, value] = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw usage(`option '--header <field>': expected 'Name: value', got ${JSON.stringify(line)}`);
    }
    return [name, value] as const;
  });
  try {
    return requestOf({ method, url, headers });
  } catch (error) {
    throw usage((error as Error).message);
  }
}

function usage(message: string): CommandError {
  return new CommandError([`error: ${message}`], STATUS_USAGE);
}

function chooseServer(config: Config, request: AskedFor, named: string | undefined): ServerConfig {
  if (named !== undefined) {
    const server = config.servers.find(({ name }) => name === named);
    if (server !== undefined) return server;
    throw usage(`no server has the name ${JSON.stringify(named)}; there is ${namesOf(config.servers)}`);
  }
  const candidates = serversFor(config, request);
  const [only] = candidates;
  if (candidates.length === 1 && only !== undefined) return only;
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
  if (route === null) {
    yield ["route", "none: the answer is 404"];
    return;
  }
  yield ["route", route.name];
  for (const use of route.use) yield ["use", describeUse(use)];
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

/** The feature and what tells it from another one of its kind; never a value of a field, which may be a secret. */
function describeUse(use: UseConfig): string {
  switch (use.feature) {
    case "headers": {
      const names = Object.entries(use.options).flatMap(([side, { set, add, remove }]) => {
        const changed = [...Object.keys(set), ...Object.keys(add), ...remove];
        return changed.length === 0 ? [] : [`${side}: ${changed.join(", ")}`];
      });
      return `headers (${names.join("; ")})`;
    }
    case "stripPrefix":
      return `stripPrefix ${use.options}`;
    case "rewrite":
      return `rewrite ${use.options.match} to ${JSON.stringify(use.options.to)}`;
    case "ipAllow": {
      const { allow, deny } = use.options;
      const denied = deny.length === 0 ? [] : [`not ${deny.join(", ")}`];
      return `ipAllow ${[...denied, allow === null ? "everybody else" : allow.join(", ")].join("; ")}`;
    }
    case "compress":
      return `compress ${use.options.encodings.join(", ")}`;
    case "credentials":
      return `credentials (token: ${placesOf(use.options.token)}; session: ${use.options.session.store.name})`;
    case "jwt":
      return `jwt (token: ${placesOf(use.options.tokens)})`;
    case "basicAuth":
      return `basicAuth ${use.options.file ?? count(Object.keys(use.options.users ?? {}).length, "user")}`;
    case "apiKey": {
      const { file, keys, from } = use.options;
      const places = from.map((place) => (place.kind === "bearer" ? "bearer" : `${place.kind}:${place.name}`));
      return `apiKey ${joinOr(places)}, ${file ?? count(keys?.length ?? 0, "key")}`;
    }
    case "clientCertificate": {
      const { subjects, sans, fingerprints } = use.options;
      const wanted = [subjects, sans, fingerprints].flatMap((list) => (list === undefined ? [] : [joinOr(list)]));
      return `clientCertificate ${wanted.length === 0 ? "of a trusted authority" : wanted.join("; ")}`;
    }
    case "forwardAuth":
      // What stands behind a question mark may be a secret.
      return `forwardAuth asks ${use.upstream}${use.options.address.target.replace(/\?.*$/s, "")}`;
    case "oidc":
      return `oidc ${use.options.issuer} as ${use.options.clientId}`;
    case "plugin":
      return `${use.plugin.name} (plugin)`;
  }
}

function placesOf({
  places,
}: {
  readonly places: readonly { readonly kind: string; readonly name?: string }[];
}): string {
  return places.map(({ kind, name }) => (name === undefined ? kind : `${kind} ${name}`)).join(", ");
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

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
