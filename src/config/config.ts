/**
 * The configuration as the program works with it: every default applied, every short form made long, times in
 * milliseconds, sizes in bytes, paths absolute. Plain data, except for the plugins and functions of a program's own.
 *
 * Whoever reads this never asks what a missing value means; that was decided by schema.ts and resolve.ts.
 */
import type { CacheConfig } from "../caching/options.ts";
import type { ListenAddress } from "../core/option-addresses.ts";
import type { RequestTemplate, UrlPart } from "../core/request-template.ts";
import type { ApiKeyOptions } from "../features/api-key/options.ts";
import type { BasicAuthOptions } from "../features/basic-auth/options.ts";
import type { CacheOptions } from "../features/cache/options.ts";
import type { ClientCertificateOptions } from "../features/client-certificate/options.ts";
import type { CompressOptions } from "../features/compress/options.ts";
import type { CredentialsOptions } from "../features/credentials/options.ts";
import type { ForwardAuthOptions } from "../features/forward-auth/options.ts";
import type { HeadersOptions } from "../features/headers/options.ts";
import type { IpAllowOptions } from "../features/ip-allow/options.ts";
import type { JwtOptions } from "../features/jwt/options.ts";
import type { KisscacheOptions } from "../features/kisscache/options.ts";
import type { OidcOptions } from "../features/oidc/options.ts";
import type { RewriteOptions } from "../features/rewrite/options.ts";
import type { StripPrefixOptions } from "../features/strip-prefix/options.ts";
import type { ForwardConfig } from "../forward/options.ts";
import type { StoreConfig } from "../identity/stores/options.ts";
import type { UpstreamConfig, UpstreamUse } from "../upstreams/options.ts";
import type { AccessField, AccessTemplate } from "./access-fields.ts";
import type { HandleFunction, PluginObject } from "./code.ts";

export interface Config {
  /** Threads that serve; auto: as many as there are cores for this process. */
  readonly workers: number | "auto";
  readonly transport: "auto" | "native" | "net";
  readonly admin: AdminConfig;
  readonly log: LogConfig;
  /** Canonical networks. */
  readonly trustedProxies: readonly string[];
  readonly via: ViaConfig;
  readonly drainTimeoutMs: number;
  /** Every pool of connections that a route uses, each once, in the order of first use; and named ones nobody uses. */
  readonly upstreams: readonly UpstreamConfig[];
  /** Every store once: the named ones, and those that features name by their URL. */
  readonly stores: readonly StoreConfig[];
  /** Every cache once: the named ones, and the one that is used without a name. */
  readonly caches: readonly CacheConfig[];
  readonly servers: readonly ServerConfig[];
}

/** Where operators speak to the running proxy: nowhere, where the machine keeps such sockets, or here. */
export type AdminConfig =
  | { readonly kind: "off" }
  | { readonly kind: "auto" }
  | { readonly kind: "listen" /** A unix socket, or a port of loopback. */; readonly address: ListenAddress };

/** Our name in Via: made by the host, none at all, or this one. */
export type ViaConfig =
  | { readonly kind: "auto" }
  | { readonly kind: "off" }
  | { readonly kind: "name"; readonly name: string };

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

export interface LogConfig {
  readonly level: LogLevel;
  /** null: no access log. */
  readonly access: AccessLogConfig | null;
}

export interface AccessLogConfig {
  readonly format: AccessFormat;
  readonly output: LogOutput;
  /** The share of exchanges that is logged, 0 to 1; those that failed always are. */
  readonly sample: number;
  /** Names of header fields, lower case, whose values are never written. */
  readonly redact: readonly string[];
  /** Parameters of queries whose values are never written: those that the routes take keys from. */
  readonly redactQuery: readonly string[];
}

export type AccessFormat =
  | { readonly kind: "json"; readonly fields: readonly AccessField[] }
  | { readonly kind: "combined" }
  | { readonly kind: "template"; readonly parts: AccessTemplate };

export type LogOutput =
  | { readonly kind: "stdout" }
  | { readonly kind: "stderr" }
  | { readonly kind: "file"; readonly path: string };

export interface ServerConfig {
  readonly name: string;
  readonly listen: readonly ListenConfig[];
  /** The first one that matches is taken; when none does, the answer is 404. */
  readonly routes: readonly RouteConfig[];
  readonly limits: LimitsConfig;
  /** A client that ended its side may still get its answer. */
  readonly halfClose: boolean;
  /** null: no forward proxy. */
  readonly forward: ForwardServerConfig | null;
}

export interface ForwardServerConfig extends ForwardConfig {
  readonly use: readonly UseConfig[];
  readonly limits: RouteLimitsConfig;
  readonly accessLog: RouteConfig["accessLog"];
}

export interface ListenConfig {
  /** Canonical text: two equal addresses are equal texts. */
  readonly text: string;
  readonly address: ListenAddress;
  readonly tls: ListenTlsConfig | null;
  readonly protocol: "http" | "socks";
  /** Traffic is redirected here by the system's firewall. */
  readonly transparent: boolean;
  /** null: connections are their peers'. `from`: canonical networks; null: every peer of a unix socket. */
  readonly proxyProtocol: { readonly from: readonly string[] | null } | null;
}

export interface ListenTlsConfig {
  /** Absolute paths of PEM files. The first is for clients that ask for no name, or for one that no certificate has. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  /** null: clients are not asked for certificates. `ca` is the absolute path of a PEM file. */
  readonly clientAuth: { readonly ca: string; readonly mode: "required" | "optional" } | null;
}

/** What a route may set for itself. */
export interface RouteLimitsConfig {
  /** null: no limit. */
  readonly bodyBytesMax: number | null;
  /** Without a byte of a body moving between us and the client. */
  readonly bodyTimeoutMs: number;
  readonly tunnelIdleMs: number;
  /** null: no limit. */
  readonly tunnelLifetimeMs: number | null;
}

export interface LimitsConfig extends RouteLimitsConfig {
  readonly headBytesMax: number;
  readonly requestLineBytesMax: number;
  readonly fieldsMax: number;
  readonly headTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

export interface RouteConfig {
  /** Where it stands: "web.routes[2]"; the name of the server when the route is the server's own. */
  readonly name: string;
  readonly match: MatchConfig;
  readonly use: readonly UseConfig[];
  readonly action: ActionConfig;
  /** Protocols whose upgrades pass, lower case. */
  readonly upgrade: readonly string[];
  readonly limits: RouteLimitsConfig;
  /** The share of this route's exchanges that is logged; 0 with `off`, where failures are not logged either. */
  readonly accessLog: { readonly off: boolean; readonly sample: number };
}

/** null: not asked. Keys are ANDed, lists are ORed. */
export interface MatchConfig {
  /** "app.example.org", or "*.example.org" for every name below; lower case, ASCII, without port. */
  readonly host: readonly string[] | null;
  /** Normalised: "/up", or "/jmap/*" for "/jmap", "/jmap/" and all below. */
  readonly path: readonly string[] | null;
  /** Compile with the flag "u"; searched in the normalised path. */
  readonly pathRegex: readonly string[] | null;
  readonly method: readonly string[] | null;
  /** Each must hold. `values: null`: present. Names in lower case; a value is compared with the whole field. */
  readonly header: readonly NamedValues[] | null;
  /** Each must hold. `values: null`: present. */
  readonly cookie: readonly NamedValues[] | null;
  /** Each must hold. `values: null`: present. */
  readonly query: readonly NamedValues[] | null;
  /** Canonical networks. */
  readonly client: readonly string[] | null;
  readonly websocket: boolean | null;
  readonly scheme: "http" | "https" | null;
}

export interface NamedValues {
  readonly name: string;
  readonly values: readonly string[] | null;
}

export type UseConfig =
  | { readonly feature: "headers"; readonly options: HeadersOptions }
  | { readonly feature: "stripPrefix"; readonly options: StripPrefixOptions }
  | { readonly feature: "rewrite"; readonly options: RewriteOptions }
  | { readonly feature: "ipAllow"; readonly options: IpAllowOptions }
  | { readonly feature: "compress"; readonly options: CompressOptions }
  | { readonly feature: "credentials"; readonly options: CredentialsOptions }
  | { readonly feature: "jwt"; readonly options: JwtOptions }
  | { readonly feature: "basicAuth"; readonly options: BasicAuthOptions }
  | { readonly feature: "apiKey"; readonly options: ApiKeyOptions }
  | { readonly feature: "clientCertificate"; readonly options: ClientCertificateOptions }
  | {
      readonly feature: "forwardAuth";
      readonly options: ForwardAuthOptions;
      /** A name in `Config.upstreams`. */
      readonly upstream: string;
    }
  | { readonly feature: "oidc"; readonly options: OidcOptions }
  | {
      readonly feature: "cache";
      readonly options: CacheOptions;
      /** A name in `Config.caches`. */
      readonly cache: string;
    }
  | { readonly feature: "plugin"; readonly plugin: PluginObject };

export type ActionConfig =
  | {
      readonly kind: "proxy" /** A name in `Config.upstreams`. */;
      readonly upstream: string;
      readonly use: UpstreamUse;
    }
  | {
      readonly kind: "respond";
      readonly status: number;
      /** Names in lower case; content-type is among them when there is a body. */
      readonly headers: readonly (readonly [name: string, value: string])[];
      readonly body: string | null;
    }
  | { readonly kind: "redirect"; readonly to: RequestTemplate<UrlPart>; readonly status: 301 | 302 | 303 | 307 | 308 }
  | {
      readonly kind: "kisscache";
      readonly options: KisscacheOptions;
      /** How it keeps downloads. */
      readonly cache: Extract<UseConfig, { readonly feature: "cache" }>;
    }
  | { readonly kind: "handle"; readonly handle: HandleFunction };
