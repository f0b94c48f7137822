/** What is said when the proxy is ready: the version, what listens where, in forms that can be pasted, and what it runs on. */

import type { Listening } from "../server/listening-url.ts";
import { listeningUrl } from "../server/listening-url.ts";
import { version } from "./version.ts";

export interface RunsOn {
  readonly transport: string;
  readonly workers: number;
}

/**
 * `headgate 0.1.0: web on http://127.0.0.1:8080, https://localhost:8443 (all addresses) (transport native, 2 workers, Node
 * 26.10.0)`; a unix socket on which fewer workers accept than there are says so.
 */
export function startupLine(listening: readonly Listening[], { transport, workers }: RunsOn): string {
  const places = new Map<string, string[]>();
  for (const item of listening) {
    const isUnix = item.address.family === 0;
    const url = `${listeningUrl(item)}${isUnix && workers > 1 ? " (one worker accepts here)" : ""}`;
    places.set(item.server, [...(places.get(item.server) ?? []), url]);
  }
  const servers = [...places].map(([server, urls]) => `${server} on ${urls.join(", ")}`);
  const threads = `${workers} ${workers === 1 ? "worker" : "workers"}`;
  return `headgate ${version}: ${servers.join("; ")} (transport ${transport}, ${threads}, Node ${process.versions.node})`;
}
