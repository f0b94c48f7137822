/**
 * Words that nginx, HAProxy, Caddy, Traefik, Varnish and others have for what has another name here, or another place: the one table
 * of them. A test holds every name and every example in it against the schema.
 */
import type { Path } from "./problems.ts";

/** The blocks in which people write them, each by where it stands: "*" is any name, "#" any item of a list. */
export const BLOCKS = {
  file: [""],
  server: ["servers.*"],
  listen: ["servers.*.listen", "servers.*.listen.#"],
  listenTls: ["servers.*.listen.tls", "servers.*.listen.#.tls"],
  certificate: ["servers.*.listen.tls.certificates.#", "servers.*.listen.#.tls.certificates.#"],
  route: ["servers.*.routes.#"],
  forward: ["servers.*.forward"],
  match: ["servers.*.routes.#.match"],
  proxy: ["servers.*.proxy", "servers.*.routes.#.proxy"],
  upstream: ["upstreams.*"],
  health: ["upstreams.*.health", "servers.*.proxy.health", "servers.*.routes.#.proxy.health"],
  upstreamServer: ["upstreams.*.servers.#"],
  timeouts: [
    ...["upstreams.*.timeouts", "servers.*.proxy.timeouts", "servers.*.routes.#.proxy.timeouts"],
    "servers.*.forward.timeouts",
  ],
  siteTimeouts: ["servers.*.timeouts", "servers.*.routes.#.timeouts"],
  log: ["log"],
  use: ["servers.*.use.#", "servers.*.routes.#.use.#", "servers.*.forward.use.#"],
  headers: ["servers.*.use.#.headers", "servers.*.routes.#.use.#.headers"],
  headersOf: [
    ...["servers.*.use.#.headers.request", "servers.*.use.#.headers.response"],
    ...["servers.*.routes.#.use.#.headers.request", "servers.*.routes.#.use.#.headers.response"],
  ],
  rewrite: ["servers.*.use.#.rewrite", "servers.*.routes.#.use.#.rewrite"],
  cache: ["caches.*"],
  cacheUse: ["servers.*.use.#.cache", "servers.*.routes.#.use.#.cache", "servers.*.forward.cache"],
  cacheRule: [
    ...["servers.*.use.#.cache.rules.#", "servers.*.routes.#.use.#.cache.rules.#"],
    "servers.*.forward.cache.rules.#",
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type Block = keyof typeof BLOCKS;

/** What is meant: a field of the same block by its name, or what to write, after words that say what it is here; or why there is none. */
export type Meant =
  | { readonly name: string }
  | { readonly absent: string }
  | {
      readonly says: string;
      /** Fields and their values, as they stand in a block of this kind. */
      readonly write: string;
      /** Where they stand; left out: where the word does. */
      readonly at?: Block;
    };

const SITE: readonly Block[] = ["server", "route"];

const TLS = 'listen: { address: ":443", tls: { certificates: [{ cert: PATH, key: PATH }] } }';
const UPSTREAM = 'upstreams: { NAME: { servers: ["http://127.0.0.1:3000", "http://127.0.0.1:3001"] } }';
const REQUEST_FIELD = 'use: [{ headers: { request: { set: { x-real-ip: "{client}" } } } }]';
const ANSWER_FIELD = "use: [{ headers: { response: { set: { x-frame-options: DENY } } } }]";
const CONDITION = "is a condition of a route";

/** Case, hyphens and underscores do not count. */
export const FOREIGN_WORDS: readonly (readonly [words: string, blocks: readonly Block[], meant: Meant])[] = [
  // Where clients connect to.
  ["bind port address entrypoints listener listeners", ["server"], { name: "listen" }],
  [
    "tls ssl https cert certs certificate certificates ssl_certificate ssl_certificate_key tls_certificate",
    ["server"],
    { says: "belongs to an address of the server", write: TLS },
  ],
  [
    "tls ssl https cert certs certificate certificates ssl_certificate ssl_certificate_key tls_certificate",
    ["route"],
    { says: "belongs to an address of the server", write: TLS, at: "server" },
  ],
  [
    "ssl https cert certs certificate certificates key ssl_certificate ssl_certificate_key",
    ["listen"],
    { says: "belongs to the TLS of the address", write: "tls: { certificates: [{ cert: PATH, key: PATH }] }" },
  ],
  ["bind port host addr", ["listen"], { name: "address" }],
  [
    "cert certificate key crt pem ssl_certificate ssl_certificate_key",
    ["listenTls"],
    { says: "belongs to one of the certificates", write: "certificates: [{ cert: PATH, key: PATH }]" },
  ],
  ["certificate crt pem chain fullchain ssl_certificate", ["certificate"], { name: "cert" }],
  ["private_key key_file ssl_certificate_key", ["certificate"], { name: "key" }],
  // Which requests, and where they go.
  [
    "location locations path paths prefix path_prefix handle_path match_path rule rules",
    ["server"],
    { says: CONDITION, write: "routes: [{ match: { path: /api/* }, proxy: http://127.0.0.1:3000 }]" },
  ],
  [
    "location path paths prefix path_prefix handle_path rule rules",
    ["route"],
    { says: "is a condition", write: "match: { path: /api/* }" },
  ],
  [
    "server_name server_names host hosts hostname hostnames domain domains",
    ["server"],
    { says: CONDITION, write: "routes: [{ match: { host: example.org }, proxy: http://127.0.0.1:3000 }]" },
  ],
  [
    "server_name server_names host hosts hostname hostnames domain domains",
    ["route"],
    { says: "is a condition", write: "match: { host: example.org }" },
  ],
  ["method methods", ["route"], { says: "is a condition", write: "match: { method: GET }" }],
  ["client remote_ip client_ip source", ["route"], { says: "is a condition", write: "match: { client: 10.0.0.0/8 }" }],
  ["location uri url prefix", ["match"], { name: "path" }],
  ["server_name domain domains", ["match"], { name: "host" }],
  ["regex regexp path_regexp path_regex path_re uri_regex", ["match"], { name: "pathRegex" }],
  ["remote_ip client_ip ip ips source src remote_addr networks", ["match"], { name: "client" }],
  ["protocol", ["match"], { name: "scheme" }],
  ["params parameters querystring args", ["match"], { name: "query" }],
  [
    "proxy_pass reverse_proxy proxy_to upstream backend default_backend use_backend service target to server",
    SITE,
    { name: "proxy" },
  ],
  [
    "servers upstreams backends services",
    SITE,
    { says: "is an upstream, which proxy names", write: UPSTREAM, at: "file" },
  ],
  ["upstream backend target server url uri dial address destination", ["proxy"], { name: "to" }],
  [
    "servers upstreams backends urls targets",
    ["proxy"],
    { says: "belongs to an upstream, which proxy names", write: UPSTREAM, at: "file" },
  ],
  [
    "return",
    SITE,
    { says: 'is "redirect", or "respond" where nobody is sent elsewhere', write: 'redirect: "https://{host}{uri}"' },
  ],
  ["redir redirect_to", SITE, { name: "redirect" }],
  [
    "root alias try_files file_server static autoindex",
    SITE,
    { says: "files are served by upstreams", write: "proxy: http://127.0.0.1:3000" },
  ],
  // Features.
  [
    "gzip gzip_types brotli zstd deflate encode compression",
    SITE,
    { says: "is the feature compress", write: "use: [{ compress: true }]" },
  ],
  ["gzip brotli zstd deflate encode compression", ["use"], { name: "compress" }],
  [
    "auth_basic auth_basic_user_file http_auth userlist users",
    SITE,
    { says: "is the feature basicAuth", write: "use: [{ basicAuth: { file: PATH } }]" },
  ],
  ["auth_basic http_auth", ["use"], { name: "basicAuth" }],
  [
    "auth_request external_auth",
    SITE,
    {
      says: "is the feature forwardAuth",
      write: 'use: [{ forwardAuth: { address: "http://127.0.0.1:4181/verify" } }]',
    },
  ],
  ["auth_request external_auth", ["use"], { name: "forwardAuth" }],
  [
    "allow deny whitelist blacklist ip_whitelist ip_allow_list ip_filter",
    SITE,
    { says: "is the feature ipAllow", write: "use: [{ ipAllow: { allow: [10.0.0.0/8], deny: [10.6.6.0/24] } }]" },
  ],
  ["allow deny whitelist ip_whitelist ip_allow_list ip_filter", ["use"], { name: "ipAllow" }],
  ["proxy_cache http_cache caching", SITE, { says: "is the feature cache", write: "use: [{ cache: true }]" }],
  ["proxy_cache http_cache caching", ["use"], { name: "cache" }],
  [
    "proxy_set_header request_header request_headers header_up set_header",
    SITE,
    { says: "is the feature headers", write: REQUEST_FIELD },
  ],
  [
    "proxy_set_header request_header request_headers header_up set_header header headers",
    ["proxy"],
    { says: 'is the feature headers, which stands in "use" beside "proxy"', write: REQUEST_FIELD, at: "route" },
  ],
  [
    "add_header response_header response_headers header_down header",
    SITE,
    { says: "is the feature headers", write: ANSWER_FIELD },
  ],
  [
    "set add remove",
    ["headers"],
    { says: 'belongs to "request" or "response"', write: "response: { set: { x-frame-options: DENY } }" },
  ],
  ["up upstream request_headers custom_request_headers", ["headers"], { name: "request" }],
  ["down downstream answer response_headers custom_response_headers", ["headers"], { name: "response" }],
  ["delete unset hide del", ["headersOf"], { name: "remove" }],
  ["append", ["headersOf"], { name: "add" }],
  ["replace override", ["headersOf"], { name: "set" }],
  ["regex regexp from pattern", ["rewrite"], { name: "match" }],
  ["replacement target", ["rewrite"], { name: "to" }],
  ["hsts security_headers", SITE, { says: "is the feature headers", write: ANSWER_FIELD }],
  [
    "hsts security_headers",
    ["use"],
    { says: "is the feature headers", write: "headers: { response: { set: { x-frame-options: DENY } } }" },
  ],
  [
    "rate_limit limit_req limit_conn in_flight_req throttle",
    [...SITE, "use"],
    { absent: "requests of a client are not limited here: a plugin can do that" },
  ],
  [
    "error_page error_pages errors errorfile handle_errors",
    [...SITE, "use"],
    { absent: "there is no field for pages of errors: a plugin can give them, docs/plugins.md has one" },
  ],
  // Upstreams.
  ["url urls targets nodes endpoints hosts backend backends members", ["upstream"], { name: "servers" }],
  [
    "lb_policy lb_method load_balancing load_balancer strategy algorithm policy",
    ["upstream", "proxy"],
    { name: "balance" },
  ],
  ["least_conn leastconn", ["upstream", "proxy"], { says: "is a balance", write: "balance: least-connections" }],
  [
    "ip_hash hash_ip sticky stickiness",
    ["upstream", "proxy"],
    { says: "is a balance", write: "balance: hash, hash: { by: client }" },
  ],
  ["keepalive max_conns maxconn connections pool_size", ["upstream", "proxy"], { name: "maxConnections" }],
  ["keepalive_timeout", ["upstream", "proxy"], { says: "is one of the timeouts", write: "timeouts: { idle: 60s }" }],
  [
    "proxy_connect_timeout connect_timeout dial_timeout timeout_connect",
    ["upstream", "proxy"],
    { says: "is one of the timeouts", write: "timeouts: { connect: 5s }" },
  ],
  [
    "proxy_read_timeout read_timeout response_timeout timeout_server",
    ["upstream", "proxy", "server", "route"],
    { says: "is one of the timeouts", write: "timeouts: { response: 60s }" },
  ],
  [
    "weight",
    ["upstream"],
    { says: "belongs to a server", write: "servers: [{ url: http://127.0.0.1:3000, weight: 3 }]" },
  ],
  ["address addr dial host server target uri", ["upstreamServer"], { name: "url" }],
  [
    "backup",
    ["upstreamServer"],
    { absent: "there are no backup servers: all that are well get requests, each by its weight" },
  ],
  ["read server first_byte response_header proxy_read", ["timeouts", "siteTimeouts"], { name: "response" }],
  ["dial", ["timeouts"], { name: "connect" }],
  ["keepalive", ["timeouts"], { name: "idle" }],
  [
    "connect dial idle keepalive lifetime",
    ["siteTimeouts"],
    {
      says: "belongs to what is connected to",
      write: "proxy: { to: http://127.0.0.1:3000, timeouts: { connect: 5s } }",
      at: "server",
    },
  ],
  [
    "health check checks health_check httpchk",
    ["upstreamServer"],
    { says: "belongs to the upstream, for all its servers", write: "health: /healthz", at: "upstream" },
  ],
  ["proxy_next_upstream max_retries tries attempts", ["upstream", "proxy"], { name: "retries" }],
  ["preserve_host pass_host_header host_header change_origin", ["upstream", "proxy"], { name: "host" }],
  ["check checks httpchk option_httpchk probe", ["upstream", "proxy"], { name: "health" }],
  [
    "check health_check httpchk",
    SITE,
    {
      says: "belongs to the upstream",
      write: "proxy: { to: http://127.0.0.1:3000, health: /healthz }",
    },
  ],
  ["uri url endpoint target", ["health"], { name: "path" }],
  ["expect codes statuses expected_status", ["health"], { name: "status" }],
  ["every inter period frequency", ["health"], { name: "interval" }],
  ["fall failures unhealthy_threshold unhealthy", ["health"], { name: "fails" }],
  ["rise successes healthy_threshold healthy", ["health"], { name: "passes" }],
  // Limits and logs.
  [
    "client_max_body_size max_body_size body_limit request_body max_request_body_bytes",
    ["file", "server", "route"],
    { says: "is one of the limits", write: "limits: { body: 10MiB }" },
  ],
  [
    "keepalive_timeout idle_timeout timeout_client timeout_http_keep_alive",
    ["file", "server"],
    { says: "is one of the limits", write: "limits: { idle: 60s }" },
  ],
  ["access_log", SITE, { says: "is a part of the log", write: "log: { access: off }" }],
  ["access_log", ["file"], { says: "is a part of the log", write: "log: { access: { output: PATH } }" }],
  [
    "error_log log_level",
    ["file"],
    { says: "messages go to standard error, from a level on", write: "log: { level: warn }" },
  ],
  ["log_format", ["file"], { says: "is a part of the log", write: "log: { access: { format: combined } }" }],
  ["logging", ["file"], { name: "log" }],
  ["file path filename", ["log"], { says: "belongs to the access log", write: "access: { output: PATH }" }],
  // The file.
  [
    "http frontend frontends vhost vhosts sites virtual_hosts entrypoints routers listeners",
    ["file"],
    { name: "servers" },
  ],
  ["backend backends services clusters pools", ["file"], { name: "upstreams" }],
  [
    "middleware middlewares filters",
    ["file"],
    {
      says: "are features, which stand in the server or in a route",
      write: "use: [{ compress: true }]",
      at: "server",
    },
  ],
  [
    "tls ssl certificates ssl_certificate ssl_certificate_key",
    ["file"],
    { says: "belongs to an address of a server", write: TLS, at: "server" },
  ],
  ["worker_processes worker_threads threads nbthread", ["file"], { name: "workers" }],
  ["stats api dashboard", ["file"], { name: "admin" }],
  ["set_real_ip_from real_ip_from forwarded_headers", ["file"], { name: "trustedProxies" }],
  ["proxy_cache_path", ["file"], { name: "caches" }],
  ["grace grace_period shutdown_timeout worker_shutdown_timeout hard_stop_after", ["file"], { name: "drainTimeout" }],
  // Caches.
  ["dir path folder root location storage", ["cache"], { name: "directory" }],
  ["max max_size limit quota disk capacity", ["cache"], { name: "size" }],
  ["mem ram hot max_memory", ["cache"], { name: "memory" }],
  ["free reserve", ["cache"], { name: "minFree" }],
  ["redis valkey url tier store", ["cache"], { name: "shared" }],
  ["swr updating grace", ["cacheUse"], { name: "staleWhileRevalidate" }],
  ["keep use_stale stale_if_error", ["cacheUse"], { name: "staleOnError" }],
  ["name cache caches", ["cacheUse"], { name: "store" }],
  ["ttl max_age valid lifetime fresh time", ["cacheRule"], { name: "for" }],
  ["code codes", ["cacheRule"], { name: "status" }],
  ["url match location", ["cacheRule"], { name: "path" }],
  ["skip pass bypass no_store", ["cacheRule"], { name: "never" }],
];

function plain(word: string): string {
  return word.toLowerCase().replace(/[-_\s]/g, "");
}

const MEANT = new Map(
  FOREIGN_WORDS.flatMap(([words, blocks, meant]) =>
    words.split(" ").flatMap((word) => blocks.map((block) => [`${block} ${plain(word)}`, meant] as const)),
  ),
);

/** What an unknown field means that others call so; null: nobody does. */
export function meantByField(path: Path): Meant | null {
  const block = blockAt(path.slice(0, -1));
  return block === null ? null : (MEANT.get(`${block} ${plain(String(path.at(-1)))}`) ?? null);
}

export function blockAt(path: Path): Block | null {
  for (const [block, places] of Object.entries(BLOCKS)) {
    if (places.some((place) => isAt(path, place === "" ? [] : place.split(".")))) return block as Block;
  }
  return null;
}

function isAt(path: Path, place: readonly string[]): boolean {
  return (
    path.length === place.length &&
    place.every((step, index) =>
      typeof path[index] === "number" ? step === "#" : step === "*" || step === path[index],
    )
  );
}
