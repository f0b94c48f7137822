/** Where a server listens, in a form that can be pasted into a browser or a command. */
import type { Listening } from "./proxy.ts";

/** `http://127.0.0.1:8080`, `socks5://127.0.0.1:1080`, `https://localhost:8443 (all addresses)`, `unix:/run/web.sock` */
export function listeningUrl({ address: { family, address, port }, isTls, protocol }: Listening): string {
  if (family === 0) return `unix:${address}`;
  const scheme = protocol === "socks" ? "socks5" : isTls ? "https" : "http";
  if (address === "::") return `${scheme}://localhost:${port} (all addresses)`;
  if (address === "0.0.0.0") return `${scheme}://localhost:${port} (all IPv4 addresses)`;
  return `${scheme}://${family === 6 ? `[${address}]` : address}:${port}`;
}
