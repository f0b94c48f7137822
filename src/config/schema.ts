/**
 * The schema of the whole file, put together from its blocks. It says which keys there are, what one value may be, and with
 * which sentence each key is explained; the JSON Schema and the reference are made of it.
 *
 * It knows keys and values one by one. Whether they fit each other is asked by checks.ts, what they mean together is
 * worked out by resolve.ts.
 */
import { z } from "zod";
import { cacheOptions } from "../caching/options.ts";
import { DRAIN_TIMEOUT_MS } from "../core/limits.ts";
import { cidr, listenAddress } from "../core/option-addresses.ts";
import { filePath } from "../core/option-files.ts";
import { duration, formatDuration, oneOrMore, TOKEN, textKind, tlsVersion } from "../core/option-types.ts";
import { cacheOptions as cacheFeature } from "../features/cache/options.ts";
import { forwardOptions } from "../forward/options.ts";
import { sharedStoreReference, storeOptions } from "../identity/stores/options.ts";
import { upstreamOptions } from "../upstreams/options.ts";
import { admin } from "./admin-schema.ts";
import type { ViaConfig } from "./config.ts";
import { limits } from "./limits-schema.ts";
import { log } from "./log-schema.ts";
import { route, routeFields } from "./route-schema.ts";

const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

const name = textKind<string>({
  id: "name",
  expected: "a name of letters, digits, dots, hyphens and underscores",
  description: "Letters, digits, dots, hyphens and underscores; at most 64 of them.",
  pattern: NAME.source,
  parse: (text) => (NAME.test(text) ? text : null),
});

/** More cores than one process gets; a mistyped number shall not start thousands of threads. */
const WORKERS_MAX = 256;

const via = textKind<ViaConfig>({
  id: "via",
  expected: "a name of letters, digits, dots and hyphens, auto or off",
  description: "A name without spaces, `auto` or `off`.",
  pattern: TOKEN.source,
  parse: (text) => {
    if (text === "auto" || text === "off") return { kind: text };
    return TOKEN.test(text) ? { kind: "name", name: text } : null;
  },
});

const certificate = z.strictObject({
  cert: filePath().describe("PEM file of the certificate, followed by those between it and the authority's."),
  key: filePath().describe("PEM file of the certificate's key."),
});

const clientAuth = z.strictObject({
  ca: filePath().describe("PEM file of the authorities whose clients are trusted."),
  mode: z
    .enum(["required", "optional"])
    .default("required")
    .describe(
      "`required`: without a certificate that is good the handshake fails. `optional`: it goes on, and `clientCertificate` decides for its routes.",
    ),
});

const listenTls = z.strictObject({
  certificates: z
    .array(certificate)
    .min(1)
    .describe(
      "The certificates. The one whose names fit what the client asks for (SNI) is shown, otherwise the first.",
    ),
  minVersion: tlsVersion().prefault("1.2").describe("The oldest version of TLS to speak: `1.2` or `1.3`."),
  clientAuth: clientAuth
    .optional()
    .transform((block) => block ?? null)
    .describe(
      "With it, clients are asked for certificates (mutual TLS). A change ends the connections that began before it.",
    ),
});

const proxyProtocol = z.strictObject({
  from: oneOrMore(cidr())
    .optional()
    .describe(
      "Networks of the load balancers. Their connections must begin with a header; everybody else's are taken without one. Left out with a unix socket, where every peer is one.",
    ),
});

const listenItem = z.union([
  listenAddress().transform((address) => ({
    address,
    tls: null,
    protocol: "http" as const,
    transparent: false,
    proxyProtocol: null,
  })),
  z
    .strictObject({
      address: listenAddress().describe("`:8443`, `127.0.0.1:8443`, `[::1]:8443` or `unix:/run/web.sock`."),
      tls: listenTls.optional().describe("With it, clients speak TLS here. The files are read again when they change."),
      protocol: z
        .enum(["http", "socks"])
        .default("http")
        .describe("What clients speak here: `http`, or `socks` for SOCKS5, SOCKS4 and SOCKS4a, which needs `forward`."),
      transparent: z
        .boolean()
        .default(false)
        .describe(
          "`true`: a firewall redirects traffic to this address (`redirect` of nftables, `REDIRECT` of iptables), and clients know of no proxy: HTTP and HTTPS go where they were headed. Needs `forward`, and the native addon.",
        ),
      proxyProtocol: proxyProtocol
        .optional()
        .describe(
          "With it, load balancers say by a PROXY header (version 1 or 2) whose connection they pass on; it comes before TLS.",
        ),
    })
    .transform(({ address, tls, protocol, transparent, proxyProtocol }) => ({
      address,
      tls: tls ?? null,
      protocol,
      transparent,
      proxyProtocol: proxyProtocol === undefined ? null : { from: proxyProtocol.from ?? null },
    })),
]);

const server = z.strictObject({
  listen: z
    .union([listenItem.transform((item) => [item]), z.array(listenItem).min(1)])
    .describe(
      "Where clients connect to: an address or a list of them, each plain or `{ address, tls, protocol, transparent, proxyProtocol }`.",
    ),
  routes: z
    .array(route)
    .min(1)
    .optional()
    .describe("The first route that matches a request takes it; when none does, the answer is 404."),
  ...routeFields,
  forward: forwardOptions
    .extend({
      use: routeFields.use,
      cache: cacheFeature
        .optional()
        .describe(
          "Keeps answers and gives them to all who ask for the same: what `cache` as the last item of `use` does. Of HTTPS, those of hosts that `intercept` opens.",
        ),
    })
    .optional()
    .describe(
      "Makes the server a forward proxy for its clients. Requests for the server itself still meet its routes.",
    ),
  limits: limits.optional().describe("Limits of this server; they win over those of the file."),
  halfClose: z
    .boolean()
    .default(false)
    .describe("`true`: a client that has ended its side may still get its answer. `false`: that ends the exchange."),
});

const cacheBlock = cacheOptions.extend({
  shared: sharedStoreReference()
    .optional()
    .describe(
      "A Redis or Valkey by which machines share what they have: a name in `stores`, or a URL. Caches of the same name there are asked before the origin is, and a purge of one is one of all. Without it this one is for itself. While it cannot be reached, nothing is found in the cache, and requests go to the origin. A change of it takes a restart.",
    ),
});

export const configSchema = z.strictObject({
  workers: z
    .union([z.enum(["auto"]), z.int().min(1).max(WORKERS_MAX)])
    .default("auto")
    .describe(
      "How many threads serve; each has its own sockets and connections. `auto`: one for each core that this process may use. Changes with an upgrade or a restart only.",
    ),
  transport: z
    .enum(["auto", "native", "net"])
    .default("auto")
    .describe(
      "What moves the bytes: `native` is the fastest and needs its addon, `net` is Node's own sockets, `auto` is `native` where that works. Changes with an upgrade or a restart only.",
    ),
  admin: admin
    .prefault("auto")
    .describe(
      "Where `headgate status`, `reload`, `drain`, `stop` and `cache` reach the running proxy. `off`: nowhere.",
    ),
  log: log.prefault({}).describe("What is logged, and where."),
  upstreams: z
    .record(name(), upstreamOptions)
    .default({})
    .describe("Named groups of servers, for routes to send requests to. A route may also name a URL."),
  stores: z
    .record(name(), storeOptions)
    .default({})
    .describe(
      "Where sessions are kept, and what caches are shared by: named, for features and `caches` to use, which may also name a URL.",
    ),
  caches: z
    .record(name(), cacheBlock)
    .default({})
    .describe(
      "Where answers are kept, by name, for `cache` to use. Without any, `cache` uses one of the name `default` in the usual place.",
    ),
  trustedProxies: z
    .array(cidr())
    .default([])
    .describe(
      "Networks of the proxies in front of this one. Only their `X-Forwarded-*` and `Forwarded` fields are believed; everyone else's are removed.",
    ),
  limits: limits
    .optional()
    .describe("What one client may take: for all servers, unless a server or a route says otherwise."),
  via: via()
    .prefault("auto")
    .describe(
      "Our name in the `Via` field, by which loops are found. `auto` makes one for this host, `off` leaves `Via` alone.",
    ),
  drainTimeout: duration()
    .prefault(formatDuration(DRAIN_TIMEOUT_MS))
    .describe("How long exchanges may take to end after SIGTERM, before they are cut off."),
  servers: z
    .record(name(), server)
    .refine((servers) => Object.keys(servers).length > 0, { error: "needs at least one server" })
    .describe("The servers, by name. Each listens somewhere and has routes."),
});

export type ConfigBlocks = z.output<typeof configSchema>;
export type ServerBlock = z.output<typeof server>;
/** A configuration as a person writes it, in the form of JavaScript values. */
export type ConfigInput = z.input<typeof configSchema>;
