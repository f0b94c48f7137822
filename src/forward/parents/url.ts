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

export const parentUrl = textKind<ParentProxy>({
  id: "parentUrl",
  expected: "the URL of a proxy such as http://proxy.example.org:3128 or socks5://127.0.0.1:1080",
  description:
    "`http://`, `https://` or `socks5://`, host and port; `user:password@` before the host, percent-encoded, where the proxy asks for them.",
  isSecret: true,
  parse: parseParentUrl,
});
