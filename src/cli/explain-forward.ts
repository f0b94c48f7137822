/**
 * What `explain` says of a forward proxy: each rule that does not match and why, then the one that decides; where that depends on the
 * address that a name resolves to, what becomes of which addresses.
 */
import { joinOr } from "../config/problems.ts";
import type { ForwardExplanation, Opening } from "../server/explain-forward.ts";
import { describeUse } from "./describe-use.ts";
import { cacheRows } from "./explain-cache.ts";

type PortRange = { readonly first: number; readonly last: number };
type Row = readonly [label: string, text: string];
type Finding = ForwardExplanation["findings"][number];
type Request = { readonly method: string; readonly target: string };

/** `method` is what was asked about; of https it is a tunnel that the proxy is asked for. */
export function* forwardRows(explanation: ForwardExplanation, request: Request, method: string): Generator<Row> {
  const { server, client, destination, findings, refused, rule, opening, insideRefused, via } = explanation;
  yield ["server", `${server.name}, which listens on ${server.listen.map(({ text }) => text).join(", ")}`];
  if (request.method !== method) yield ["asked as", `CONNECT ${request.target}, as clients do for https`];
  if (client !== "") yield ["client", client];
  if (destination !== null) yield ["to", `${destination.host}, port ${destination.port}`];
  for (const finding of findings) {
    if (finding.mismatch !== null) {
      yield ["no match", `${nameOf(finding)}: ${whyNot(finding, explanation, request.method)}`];
    }
    if (finding.mismatch === null && finding.list === "deny" && finding.rule.networks === undefined) break;
  }
  if (refused !== null) {
    yield ["refused", refusalText(refused)];
    return;
  }
  if (rule !== null) yield ["rule", `${rule} allows it`];
  else yield* addressRows(findings);
  if (via !== null)
    yield ["via", `${via.join(", else ")}${destination?.isAddress === true ? "" : ", which resolves the name"}`];
  if (opening !== null) yield ["https", openingText(opening, explanation)];
  if (insideRefused !== null) {
    yield ["inside", `${method} is refused, ${refusalText(insideRefused)}`];
    return;
  }
  for (const use of server.forward!.use) yield ["use", describeUse(use)];
  for (const cache of explanation.caches) yield* cacheRows(cache);
}

function refusalText({ status, message }: NonNullable<ForwardExplanation["refused"]>): string {
  return `${status}: ${message.replace(/^forward: /, "")}`;
}

/** Whether the HTTPS inside of a tunnel is opened, and why. */
function openingText({ by, ca, unfit }: Opening, { server, destination }: ForwardExplanation): string {
  const { hosts = [], except = [], ports = [] } = server.forward!.intercept ?? {};
  const { host = "", port = 0 } = destination ?? {};
  switch (by) {
    case "ports":
      return `left alone: the port ${port} is not ${portsText(ports)} (intercept.ports)`;
    case "hosts":
      return `left alone: the host ${JSON.stringify(host)} is not ${joinOr(hosts)} (intercept.hosts)`;
    case "except":
      return `left alone: the host ${JSON.stringify(host)} is ${joinOr(except)} (intercept.except)`;
    case "name": {
      const but = except.length === 0 ? "" : `, but not for ${joinOr(except)}`;
      return `the name that TLS is begun for decides: opened for ${joinOr(hosts)}${but}`;
    }
    case "opened":
      return unfit === null
        ? `opened, as ${joinOr(hosts)} (intercept.hosts), with a certificate of the CA in ${ca}`
        : `refused, 502: it is to be opened, and the CA in ${ca} cannot serve it: ${unfit}`;
  }
}

/** Of a name, whose address is not known yet. */
function* addressRows(findings: readonly Finding[]): Generator<Row> {
  let isPublicAllowed = false;
  for (const { list, rule, mismatch } of findings) {
    if (mismatch !== null) continue;
    const does = `${list === "deny" ? "refused" : "allowed"} by ${rule.name}`;
    if (rule.networks !== undefined) yield ["address", `in ${joinOr(rule.networks)}: ${does}`];
    else if (!isPublicAllowed) {
      isPublicAllowed = true;
      yield ["address", `any public one: ${does}`];
    }
  }
  const isForUsers = findings.some(({ list, mismatch }) => list === "allow" && mismatch === "unknown user");
  const why = isPublicAllowed ? ": it is private and no rule names its network" : "";
  yield [
    "address",
    `any other one: ${isForUsers ? "407: some user might be allowed to go there" : `refused, 403${why}`}`,
  ];
}

function nameOf({ list, rule }: Finding): string {
  return rule.name.startsWith(`${list}[`) ? rule.name : `${rule.name} (${list})`;
}

function portsText(ports: readonly PortRange[]): string {
  return joinOr(ports.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)));
}

function whyNot(
  { list, rule, mismatch }: Finding,
  { client, destination, wallMs }: ForwardExplanation,
  method: string,
): string {
  const { host = "", port = 0, kind = "http" } = destination ?? {};
  switch (mismatch) {
    case "ports": {
      const ports = (kind === "tunnel" ? rule.connectPorts : rule.ports) ?? [];
      const text = portsText(ports);
      if (kind !== "tunnel" || list === "deny") return `the port ${port} is not ${text}`;
      return `tunnels may go to port ${text}, not to ${port}`;
    }
    case "hosts":
      return `the host ${JSON.stringify(host)} is not ${joinOr(rule.hosts ?? [])}`;
    case "clients":
      return `the client ${client} is not in ${joinOr(rule.clients ?? [])}`;
    case "methods":
      return `the method ${method} is not ${joinOr(rule.methods ?? [])}`;
    case "times":
      return `it holds ${joinOr((rule.times ?? []).map(windowText))}, and it is ${timeText(wallMs)}`;
    case "networks":
      return `the address ${host} is not in ${joinOr(rule.networks ?? [])}`;
    case "private":
      return `the address ${host} is no public one, and the rule names no network`;
    case "users":
      return `the user is not ${joinOr(rule.users ?? [])}`;
    case "unknown user":
      return `nobody has said who it is, and it is for ${joinOr(rule.users ?? [])}`;
    case null:
      return "";
  }
}

const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

/** `on mon, tue from 08:00 to 17:00` */
function windowText({ days, from, to }: NonNullable<Finding["rule"]["times"]>[number]): string {
  const on = days === null ? "every day" : `on ${days.map((day) => DAYS[day]).join(", ")}`;
  return `${on} from ${clockText(from)} to ${clockText(to)}`;
}

/** As the rules read it: in the time zone of this machine. */
function timeText(wallMs: number): string {
  const now = new Date(wallMs);
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return `${DAYS[now.getDay()]} ${clockText(now.getHours() * 60 + now.getMinutes())} (${timeZone})`;
}

/** Of minutes since midnight. */
function clockText(minutes: number): string {
  return [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");
}
