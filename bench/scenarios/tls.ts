/** What TLS with the clients costs, which is Node's on either transport: its records, and its handshakes. */
import { requestCost } from "./request-cost.ts";

export const tls = requestCost({
  name: "tls",
  title: "a small answer over TLS, kept connections",
  about:
    "Clients speak TLS 1.3 and keep their connections, so what is added to `small` are records, two for each request. The certificate's key is on P-256.",
  tls: true,
});

export const tlsConnections = requestCost({
  name: "tls-connections",
  title: "a new TLS connection for each request",
  about:
    "A whole handshake for each request: no session is resumed. Most of it are signatures and key exchanges, which all targets leave to OpenSSL, or to what Go has.",
  abilities: ["reverse", "closing"],
  headers: ["Connection: close"],
  tls: true,
});
