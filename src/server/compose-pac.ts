/**
 * The route on which a forward proxy serves its PAC file: in front of the server's own routes, without their features, since whoever
 * asks for it has not been configured yet.
 */
import type { ServerConfig } from "../config/config.ts";
import { ProxyError } from "../core/errors.ts";
import { PAC_TYPE, pacScript } from "../forward/pac.ts";
import { EMPTY_CHAIN } from "../pipeline/chain.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { RouteMatch } from "../pipeline/routing/match.ts";
import type { RouteEntry } from "../pipeline/routing/router.ts";
import type { Handler } from "../pipeline/site.ts";
import { resolveUpstreamUse } from "../upstreams/use.ts";

const MATCH: RouteMatch = {
  host: null,
  path: null,
  pathRegex: null,
  method: ["GET", "HEAD"],
  header: null,
  query: null,
  client: null,
  websocket: null,
  cookie: null,
  scheme: null,
};

/** How the access log and `explain` call it. */
export function pacRouteName(server: string): string {
  return `${server}.forward.pac`;
}

/** null: the server has none. */
export function composePac({ name, forward }: ServerConfig): RouteEntry | null {
  const pac = forward?.pac ?? null;
  if (forward === null || pac === null) return null;
  return {
    match: { ...MATCH, path: [pac.path] },
    route: {
      name: pacRouteName(name),
      chain: EMPTY_CHAIN,
      upstream: null,
      handler: pacHandler(pac.direct, pac.proxy),
      use: resolveUpstreamUse([]),
      upgrade: [],
      limits: forward.limits,
    },
  };
}

function pacHandler(direct: readonly string[], named: string | null): Handler {
  return (exchange) => {
    const proxy = named ?? addressedProxy(exchange);
    if (proxy === null) {
      exchange.fail(
        new ProxyError("http_request_error", "the request names no host, and so no proxy for the PAC file"),
      );
      return;
    }
    const isTls = exchange.connection.tls !== null;
    exchange.respond({
      status: 200,
      // It says what the request has said of us: nobody else's answer.
      fields: [
        ["Content-Type", PAC_TYPE],
        ["Cache-Control", "private, no-cache"],
      ],
      body: Buffer.from(pacScript({ proxy, isTls, direct })),
    });
  };
}

/** The host and port under which the client has asked for the file; null: an HTTP/1.0 client named none. */
function addressedProxy({ request, connection }: Exchange): string | null {
  const { authority } = request;
  if (authority === "") return null;
  if (/:\d+$/.test(authority)) return authority;
  return `${authority}:${connection.tls === null ? 80 : 443}`;
}
