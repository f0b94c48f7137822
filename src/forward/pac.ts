/**
 * The script by which browsers learn to use the proxy (proxy auto-configuration, as Netscape described it and every browser and
 * system runs it). It calls none of the functions that such scripts are offered: they resolve names, differ between systems, or
 * are slow. Names go into it as JSON strings, so that none can become code, and it is written in the JavaScript of 1999, which
 * Windows still runs.
 */

export interface PacOptions {
  /** host:port, as clients name the proxy. */
  readonly proxy: string;
  /** The connection to the proxy itself is TLS. */
  readonly isTls: boolean;
  /** Exact hosts and `*.example.org`, lower case, IPv6 in brackets. */
  readonly direct: readonly string[];
}

export const PAC_TYPE = "application/x-ns-proxy-autoconfig";

export function pacScript({ proxy, isTls, direct }: PacOptions): string {
  const hosts = direct.filter((host) => !host.startsWith("*.")).map((host) => host.replace(/^\[(.*)\]$/, "$1"));
  const domains = direct.filter((host) => host.startsWith("*.")).map((host) => host.slice(1));
  const way = `${isTls ? "HTTPS" : "PROXY"} ${proxy}`;
  return `function FindProxyForURL(url, host) {
  var hosts = ${listOf(hosts)};
  var domains = ${listOf(domains)};
  var i;
  host = host.toLowerCase().replace(/\\.$/, "").replace(/^\\[(.*)\\]$/, "$1");
  // Plain names are this network's own, and loopback is the client itself.
  if (host.indexOf(".") < 0 && host.indexOf(":") < 0) return "DIRECT";
  if (host === "::1" || /^127(\\.[0-9]+){3}$/.test(host)) return "DIRECT";
  for (i = 0; i < hosts.length; i++) {
    if (host === hosts[i]) return "DIRECT";
  }
  for (i = 0; i < domains.length; i++) {
    if (host.slice(-domains[i].length) === domains[i]) return "DIRECT";
  }
  return ${JSON.stringify(way)};
}
`;
}

/** One a line, for people who look at it. */
function listOf(texts: readonly string[]): string {
  return texts.length === 0 ? "[]" : `[\n    ${texts.map((text) => JSON.stringify(text)).join(",\n    ")}\n  ]`;
}
