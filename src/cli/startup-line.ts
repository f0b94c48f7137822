/** What is said when the proxy is ready: the version, what listens where, in forms that can be pasted, and what it runs on. */
import type { Listening } from "../server/proxy.ts";
import { version } from "./version.ts";

/** `headgate 0.1.0: web on http://127.0.0.1:8080, https://localhost:8443 (all addresses) (transport net, Node 26.10.0)` */
export function startupLine(listening: readonly Listening[], transport: string): string {
  const places = new Map<string, string[]>();
  for (const item of listening) places.set(item.server, [...(places.get(item.server) ?? []), urlOf(item)]);
  const servers = [...places].map(([server, urls]) => `${server} on ${urls.join(", ")}`);
  return `headgate ${version}: ${servers.join("; ")} (transport ${transport}, Node ${process.versions.node})`;
}

function urlOf({ address: { family, address, port }, isTls }: Listening): string {
  if (family === 0) return `unix:${address}`;
  const scheme = isTls ? "https" : "http";
  if (address === "::") return `${scheme}://localhost:${port} (all addresses)`;
  if (address === "0.0.0.0") return `${scheme}://localhost:${port} (all IPv4 addresses)`;
  return `${scheme}://${family === 6 ? `[${address}]` : address}:${port}`;
}
