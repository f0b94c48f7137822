/** What the application log says of the servers of upstreams: when one is away, and when it is back. */
import type { ServerTeller } from "../upstreams/pool.ts";
import type { AppLog } from "./app-log.ts";

export function upstreamTeller(log: AppLog): ServerTeller {
  return {
    // The message says where no connection could be made to, and why.
    lost: (upstream, server, { message, type }, isOnly) => {
      const meanwhile = isOnly ? "" : `; ${server} is left out until it can be reached`;
      log.warn({ upstream, server, error: type }, `upstream ${upstream}: ${message}${meanwhile}`);
    },
    short: (upstream, { message, type }) => {
      log.warn(
        { upstream, error: type },
        `upstream ${upstream}: ${message}; requests wait for connections that come free`,
      );
    },
    back: (upstream, server) => log.info({ upstream, server }, `upstream ${upstream}: ${server} is reached again`),
  };
}
