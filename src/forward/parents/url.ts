/** The option that names a proxy that we go through, with the credentials that it asks for. */
import { canonicalHost } from "../../core/option-addresses.ts";
import { textKind } from "../../core/option-types.ts";
import type { ParentProxy } from "./proxy.ts";

/** Of user and password: what SOCKS can carry (RFC 1929), and enough for anybody. */
const CREDENTIAL_BYTES_MAX = 255;

const DEFAULT_PORTS = { http: 3128, https: 443, socks5: 1080 } as const;

function decoded(text: string): string | null {
  try {
    const plain = decodeURIComponent(text);
    return Buffer.byteLength(plain) > CREDENTIAL_BYTES_MAX || /[\u0000-\u001f\u007f]/.test(plain) ? null : plain;
  } catch {
    return null;
  }
}

export function parseParentUrl(text: string): ParentProxy | null {
  const match =
    /^(http|https|socks5|socks5h):\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^/?#@]+?)(?::(\d{1,5}))?\/?$/i.exec(text);
  if (match === null) return null;
  const [, scheme = "", user, password = "", name = "", portText] = match;
  const kind = scheme.toLowerCase().replace("socks5h", "socks5") as ParentProxy["kind"];
  const host = canonicalHost(name);
  const port = portText === undefined ? DEFAULT_PORTS[kind] : Number(portText);
  if (host === null || port < 1 || port > 65_535) return null;
  const place = { kind, host: host.replace(/^\[(.*)\]$/, "$1"), port };
  if (user === undefined) return { ...place, credentials: null };
  const plain = { user: decoded(user), password: decoded(password) };
  if (plain.user === null || plain.password === null || plain.user === "" || plain.user.includes(":")) return null;
  // SOCKS has no empty password (RFC 1929).
  if (kind === "socks5" && plain.password === "") return null;
  return { ...place, credentials: { user: plain.user, password: plain.password } };
}

/** Schemes that are no proxy's here, and what to write instead. */
const OTHER_SCHEMES: Readonly<Record<string, string>> = {
  socks: "socks:// is socks5:// here",
  socks4: "socks4:// is not spoken to other proxies: socks5:// is",
  socks4a: "socks4a:// is not spoken to other proxies: socks5:// is",
};

const AUTHORITY = /^(?:([^@]*)@)?(\[[^\]]*\]|[^:]*)(?::(.*))?$/s;

/**
 * What is wrong with a text that is no URL of a proxy; null: nothing that can be named. Of user and password nothing is shown: not
 * even that they are, where an "@" that is not encoded leaves open what belongs to them.
 */
function explainParentUrl(text: string): string | null {
  if (/\s/.test(text)) return "there is a space in it";
  const [, scheme, rest = ""] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  if (scheme === undefined) return explainWithoutScheme(text);
  const kind = scheme.toLowerCase();
  if (OTHER_SCHEMES[kind] !== undefined) return OTHER_SCHEMES[kind];
  if (!/^(https?|socks5h?)$/.test(kind)) return `${describeScheme(kind)}: a proxy is http://, https:// or socks5://`;
  if (/@.*@|[/?#].*@/s.test(rest))
    return 'user and password are percent-encoded: "@" is %40, "/" is %2F, "?" is %3F, "#" is %23';
  const [authority = ""] = rest.split(/[/?#]/, 1);
  const tail = rest.slice(authority.length);
  if (tail !== "" && tail !== "/")
    return "a proxy's URL ends behind host and port: a path or a query cannot stand here";
  const [, login, host = "", port] = AUTHORITY.exec(authority) ?? [];
  return (login === undefined ? null : explainLogin(login, kind)) ?? explainPlace(host, port);
}

function describeScheme(kind: string): string {
  // Longer than any that exists: it may be anything.
  return kind.length > 10 ? "this scheme is no proxy's" : `${kind}:// is no proxy's`;
}

function explainWithoutScheme(text: string): string {
  // A word alone may be a password in the wrong place.
  const isPlace = !text.includes("@") && /[.:]/.test(text) && parseParentUrl(`http://${text}`) !== null;
  return isPlace
    ? `it has no scheme; did you mean http://${text}?`
    : "it has no scheme, as in http://proxy.example.org:3128";
}

function explainLogin(login: string, kind: string): string | null {
  const colon = login.indexOf(":");
  const [user, password] = colon < 0 ? [login, ""] : [login.slice(0, colon), login.slice(colon + 1)];
  if (user === "") return "there is no user in front of the password";
  for (const [name, part] of Object.entries({ user, password })) {
    const why = explainCredential(part);
    if (why !== null) return `the ${name} ${why}`;
  }
  if (/%3a/i.test(user)) return "the user has a colon, which no proxy could tell from the one behind it";
  return kind.startsWith("socks5") && password === "" ? "SOCKS5 has no user without a password" : null;
}

function explainCredential(text: string): string | null {
  if (decoded(text) !== null) return null;
  if (/%(?![0-9a-f]{2})/i.test(text)) return 'has a "%" that begins no percent-encoding: the character itself is %25';
  if (/%[01][0-9a-f]|%7f|[\u0000-\u001f\u007f]/i.test(text)) return "has a control character";
  return text.length > CREDENTIAL_BYTES_MAX
    ? `has more than ${CREDENTIAL_BYTES_MAX} bytes`
    : "is percent-encoded, but not in UTF-8";
}

function explainPlace(host: string, port: string | undefined): string | null {
  if (host === "") return "the host is missing";
  if (canonicalHost(host) === null) return "what stands for the host is none";
  if (port === undefined) return null;
  if (!/^\d{1,9}$/.test(port)) return "what stands for the port is none";
  if (Number(port) === 0) return "the port is 0, on which nothing listens";
  // Longer, it may be the password of a URL that has no host.
  return port.length > 5 ? "the port is above 65535" : `the port is ${port}, the highest one is 65535`;
}

export const parentUrl = textKind<ParentProxy>({
  id: "parentUrl",
  expected: "the URL of a proxy such as http://proxy.example.org:3128 or socks5://127.0.0.1:1080",
  description:
    "`http://` (port 3128 unless it is named), `https://` (443) or `socks5://` (1080; `socks5h://` is the same), host and port; `user:password@` before the host, percent-encoded, where the proxy asks for them.",
  isSecret: true,
  parse: parseParentUrl,
  explain: explainParentUrl,
});
