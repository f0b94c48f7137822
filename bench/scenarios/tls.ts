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
    "A handshake for each request. wrk resumes the session that it has, as browsers do, and all targets let it: so there is a key exchange each time, which they leave to OpenSSL, or to what Go has, and hardly ever a signature.",
  abilities: ["reverse", "closing"],
  headers: ["Connection: close"],
  tls: true,
});
