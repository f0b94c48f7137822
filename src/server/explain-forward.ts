/**
 * What a forward proxy would do with a request, and why: the real admission and the real rules, without asking who somebody is and
 * without resolving a name. Where a rule depends on the destination's address, it says for which addresses it would decide.
 */
import type { Config, ServerConfig } from "../config/config.ts";
import { ProxyError } from "../core/errors.ts";
import type { RequestMessage } from "../core/message.ts";
import { type Way, Ways } from "../forward/parents/ways.ts";
import { HostSet } from "../forward/rules/hosts.ts";
import { ForwardRules, type RuleFinding, type Wish } from "../forward/rules/rules.ts";
import { OwnAddresses } from "../io/own-addresses.ts";
import { admit } from "../pipeline/admission.ts";
import { type Destination, type DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import { type CacheExplanation, explainCaches } from "./caches/explain.ts";
import { forwardScope } from "./caches/scope.ts";
import { composeForInspection, ExplainedExchange } from "./explain.ts";
import { authorityFolder } from "./interceptions.ts";
import { clock } from "./surroundings.ts";

/** What decides whether the HTTPS inside of a tunnel is opened. */
export interface Opening {
  /** "name": it was asked for by its address, so the name that TLS is begun for decides. */
  readonly by: "ports" | "hosts" | "except" | "name" | "opened";
  /** Where the CA is. */
  readonly ca: string;
  /** Why the CA has no certificate for the host; null: it has one, or the host is not opened. */
  readonly unfit: string | null;
}

export interface ForwardExplanation {
  readonly server: ServerConfig;
  /** The client, when a trusted proxy's word counts. */
  readonly client: string;
  /** The time that rules were asked about, on the wall clock. */
  readonly wallMs: number;
  /** null: it was refused before that was known. */
  readonly destination: Destination | null;
  /** Rules in the order in which they are asked, up to the one that decides if one does. */
  readonly findings: readonly RuleFinding[];
  /** null: allowed, perhaps to some addresses only. */
  readonly refused: ProxyError | null;
  /** The rule that allows it; null: its address decides, or it is refused. */
  readonly rule: string | null;
  /** What becomes of the HTTPS inside of a tunnel; null: it is none, or it is refused, or the server opens nothing. */
  readonly opening: Opening | null;
  /** Why the rules refuse the request inside of a tunnel that is opened; null: they do not, or nobody sees one. */
  readonly insideRefused: ProxyError | null;
  /** The proxies that it may go through, which resolve its name; null: it goes direct, or is refused. */
  readonly via: readonly string[] | null;
  /** Of the request itself, or of the one inside of a tunnel that is opened; none where nobody looks into the tunnel. */
  readonly caches: readonly CacheExplanation[];
}

const own = new OwnAddresses(clock);

/**
 * `inside`: what is asked in the tunnel that `request` asks for; null: it is none, or nobody has said. `user`: who has proved who it
 * is; null: nobody has. `serverName` must be the name of a server with `forward`.
 */
export async function explainForward(
  config: Config,
  serverName: string,
  request: RequestMessage,
  inside: RequestMessage | null,
  client: string,
  user: string | null,
): Promise<ForwardExplanation> {
  const { config: server, site } = (await composeForInspection(config)).find((one) => one.config.name === serverName)!;
  const { auth, deny, allow, via } = server.forward!;
  const exchange = new ExplainedExchange(request, client);
  const unfit = admit(exchange, site);
  const wallMs = clock.wallMs();
  const facts = {
    server,
    client: exchange.clientAddress,
    wallMs,
    findings: [],
    rule: null,
    opening: null,
    insideRefused: null,
    via: null,
    caches: [],
  };
  if (unfit !== null) return { ...facts, destination: null, refused: unfit };
  const { destination } = exchange.forward!;
  if (auth !== null && !auth.isOptional && user === null) return { ...facts, destination, refused: unknownUser() };
  const { host, isAddress, port, kind } = destination;
  const wish: Wish = {
    client: exchange.clientAddress,
    user,
    mayProveUser: true,
    host,
    isAddress,
    port,
    isTunnel: kind === "tunnel",
    method: request.method,
    wallMs,
  };
  const rules = new ForwardRules(deny, allow, unknownUser, (address) => own.has(address));
  const decision = rules.decide(wish);
  const about = { ...facts, destination, findings: rules.explain(wish) };
  if (decision instanceof ProxyError) return { ...about, refused: decision };
  exchange.forward!.access = decision;
  const way = new Ways(via, () => null).of(host, port);
  // Of a name that another proxy resolves no address is ever known here.
  const rule = isAddress ? decision.ruleOf(host) : way === null ? null : decision.ruleOf(null);
  const opening = kind === "tunnel" ? await openingOf(server, destination) : null;
  const isOpened = opening?.by === "opened" && opening.unfit === null;
  let met: ExplainedExchange | null = kind === "tunnel" ? null : exchange;
  let insideRefused: ProxyError | null = null;
  if (inside !== null && isOpened) {
    // The rules are asked about each request of a tunnel anew, in which nobody is asked who it is.
    const access = rules.decide({ ...wish, method: inside.method, mayProveUser: false });
    if (access instanceof ProxyError) insideRefused = access;
    else met = exchangeInside(inside, destination, access, exchange.clientAddress);
  }
  const { forward } = server;
  const caches = met === null ? [] : explainCaches(met, forward!.use, (index) => forwardScope(forward!, index));
  return { ...about, refused: null, rule, opening, insideRefused, via: namesOf(way), caches };
}

/** A request of the HTTPS inside of a tunnel there, of whom the origin's certificate has shown that it is the one. */
function exchangeInside(
  request: RequestMessage,
  tunnel: Destination,
  access: DestinationAccess,
  client: string,
): ExplainedExchange {
  const exchange = new ExplainedExchange(request, client);
  exchange.forward = new Forwarding({ ...tunnel, kind: "https" }, null);
  exchange.forward.access = access;
  return exchange;
}

async function openingOf({ forward }: ServerConfig, { host, isAddress, port }: Destination): Promise<Opening | null> {
  const intercept = forward?.intercept ?? null;
  if (intercept === null) return null;
  const about = { ca: authorityFolder(intercept.ca), unfit: null };
  if (!intercept.ports.some(({ first, last }) => port >= first && port <= last)) return { ...about, by: "ports" };
  if (isAddress) return { ...about, by: "name" };
  if (new HostSet(intercept.except).has(host)) return { ...about, by: "except" };
  if (!new HostSet(intercept.hosts).has(host)) return { ...about, by: "hosts" };
  const { unfitnessOf } = await import("./interception-authority.ts");
  return { ...about, by: "opened", unfit: await unfitnessOf(about.ca, host, clock) };
}

function namesOf(way: Way | null): readonly string[] | null {
  return way === null ? null : way.parents.map(({ name }) => name);
}

function unknownUser(): ProxyError {
  return new ProxyError("http_request_denied", "nobody has said who it is; --user asks as somebody", { status: 407 });
}
