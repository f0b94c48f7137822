/**
 * The order, the words and the examples of the reference. Fields and their sentences come from the schema; here is what a
 * table cannot say. A test parses every example.
 */

export interface DocsSection {
  readonly title: string;
  /** Where the block stands in the file, for the reader. */
  readonly place: string;
  /** "" where the schema's own sentence is enough. */
  readonly text: string;
  /** The block in the schema, by the keys that lead to it: "*" is any name, "#" any item. The first is shown, all link here. */
  readonly paths: readonly string[];
  /** A whole file. */
  readonly example: string;
  /** Fields of the block that another section explains. */
  readonly omit?: readonly string[];
}

const ROUTE_FIELDS = ["use", "proxy", "respond", "redirect", "handle", "upgrade", "timeouts"];
const UPSTREAM_FIELDS = ["balance", "hash", "tls", "timeouts", "maxConnections", "queue", "health", "retries", "host"];
const TOKEN_FIELDS = [
  "bearer",
  "header",
  "cookie",
  "query",
  "id",
  "algorithm",
  "key",
  "jwks",
  "keys",
  "issuer",
  "audience",
  "claims",
  "leeway",
  "requireExp",
];

export const DOCS_SECTIONS: readonly DocsSection[] = [
  {
    title: "The file",
    place: "top level",
    paths: [""],
    text: "`servers` with a `listen` and a target is a complete file; everything else has a default.",
    example: `servers:
  web:
    listen: ":8080"
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "forward",
    place: "`forward` in a server",
    paths: ["servers.*.forward"],
    text: "Requests in absolute form (`http_proxy=http://HOST:3128`), tunnels by CONNECT and WebSockets through both go where their client says. Rules of `deny` are asked first, then those of `allow`; the first one that matches decides, and the log names it. Addresses of this machine, of private networks and of metadata services are refused unless the rule that allows them names their network, whatever a name resolves to. Requests in origin form still meet the server's routes.\n\nThe access log says who asked, which rule decided, where to, at which address, and how a tunnel ended. It shows no bodies, unless a rule of `allow` has `debug`: until the time that it names, a line of `json` then has `requestHeaders`, `responseHeaders`, `requestBody` and `responseBody`, these two with the `type`, the number of `bytes`, and the `text` of JSON, forms and other text in UTF-8; `truncated: true` where there is more than is shown, `encoded` where it is compressed, and so not shown. Secrets are covered: in JSON and in forms what stands under their names, of other text everything from the first line that names one, and of JSON what comes behind a fault. At each start the proxy warns of such rules.",
    example: `servers:
  egress:
    listen: [":3128", { address: ":1080", protocol: socks }]
    forward:
      auth: { basic: { file: users.htpasswd } }
      deny:
        - { name: ads, hosts: ["*.ads.example"] }
      allow:
        - name: builds
          clients: 10.0.0.0/8
          hosts: ["*.mirror.example", registry.example.org]
        - { name: office, users: [ann], times: { days: [mon, tue, wed, thu, fri], from: "08:00", to: "18:00" } }
        - name: looked-at
          hosts: api.example.org
          debug: { until: "2026-12-01T18:00Z", bodies: 16KiB, redact: [customer_number] }
      timeouts: { connect: 5s }
`,
  },
  {
    title: "servers",
    place: "`servers.NAME`",
    paths: ["servers.*"],
    text: "A server listens on one or more addresses and has a list of routes. A server that sends everything to one place may have `use`, `proxy`, `respond`, `redirect`, `handle`, `upgrade` and `timeouts` itself, as a [route](#routes) has them, in place of `routes`.",
    example: `servers:
  web:
    listen:
      - ":8080"
      - address: ":8443"
        tls:
          certificates: [{ cert: example.org.pem, key: example.org.key }]
        proxyProtocol: { from: 10.1.0.0/24 }
    routes:
      - match: { path: /api/* }
        proxy: http://127.0.0.1:3000
      - respond: 404
  plain:
    listen: ":80"
    redirect: "https://{host}{uri}"
`,
    omit: [...ROUTE_FIELDS, "forward"],
  },
  {
    title: "routes",
    place: "an item of `servers.NAME.routes`",
    paths: ["servers.*.routes.#"],
    text: "The first route whose `match` fits takes the request. It ends in exactly one of `proxy`, `respond`, `redirect` and `handle`.",
    example: `servers:
  web:
    listen: ":8080"
    routes:
      - match: { host: app.example.org, path: /app/* }
        use:
          - stripPrefix: /app
          - compress: true
        proxy: http://127.0.0.1:5000
        timeouts: { response: 2m }
      - match: { path: /health }
        respond: { status: 200, body: "ok" }
        log: { access: off }
`,
  },
  {
    title: "handle",
    place: "`handle` of a route",
    paths: ["servers.*.routes.#.handle", "servers.*.handle"],
    text: `In \`headgate.ts\` this may be a function, which answers the requests. In a file it is \`kisscache\`, which is short for \`{ kisscache: {} }\`.

Who has used kisscache changes the address of the service and nothing else: \`GET\` and \`HEAD\` of \`/api/v1/fetch?url=URL\`, \`/api/v1/fetch/NAME?url=URL\`, with \`ttl\` (\`10d\`, \`2h\`, \`3m\`, \`4s\`) and \`passheaders\` (names, separated by commas), \`/api/v1/health/\` and \`/api/v1/status/\`; and \`GET /URL\`, with the URL percent-encoded whole.

Who may download from where is said by the rules of \`forward\` in the same server, and its \`use\` applies, but for a \`cache\`. Where \`forward\` asks users who they are, so may the route: whom a feature in its \`use\` has proved is the user whom the rules see.

Different from kisscache: \`ttl\` is how old a download may be for this request, and what is older is validated or fetched anew; a redirect is given to the client, as one back to this interface, and passes no fields to another origin; a failure is not kept; what does not fit makes room for itself, unless there is a \`quota\`.`,
    example: `servers:
  downloads:
    listen: "127.0.0.1:8001"
    forward:
      allow:
        - { clients: [127.0.0.0/8], hosts: ["*.example.org"] }
    routes:
      - handle: { kisscache: { store: artifacts, ttl: 10d, quota: 40GiB } }
caches:
  artifacts: { size: 50GiB }
`,
  },
  {
    title: "match",
    place: "`match` of a route",
    paths: ["servers.*.routes.#.match"],
    text: "Paths are compared after normalisation: dot segments removed, unreserved characters decoded, `//` merged, `%2F` left as it is. A path without `*` is that one alone: `/api/` is not what is below it, which `/api/*` is. `headgate check` warns where that is hardly meant; a `pathRegex` such as `^/api/$` says that it is.",
    example: `servers:
  web:
    listen: ":8080"
    routes:
      - match:
          host: [example.org, "*.example.org"]
          path: [/up, /jmap/*]
          method: [GET, POST]
          header: { x-api-version: "2", x-debug: true }
          client: 10.0.0.0/8
        proxy: http://127.0.0.1:3000
      - match: { pathRegex: "^/user/[0-9]+$", websocket: true }
        proxy: http://127.0.0.1:3001
      - match: { cookie: { canary: "1" } }
        proxy: http://127.0.0.1:3002
`,
  },
  {
    title: "proxy",
    place: "`proxy` of a route",
    paths: ["servers.*.routes.#.proxy", "servers.*.proxy"],
    text: "`proxy: URL` and `proxy: NAME` are short for `proxy: { to: ... }`. Beside `to` may stand all keys of an [upstream](#upstreams) but `servers`; they win over those of the upstream that is named. Routes that say the same about connections share them.",
    example: `upstreams:
  app:
    servers: ["http://10.0.0.1:3000", "http://10.0.0.2:3000"]
servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /reports/* }
        proxy: { to: app, timeouts: { response: 5m }, retries: 0 }
      - match: { path: /legacy/* }
        proxy: { to: "https://legacy.internal", host: upstream, tls: { ca: internal.pem } }
      - proxy: app
`,
    omit: UPSTREAM_FIELDS,
  },
  {
    title: "respond",
    place: "`respond` of a route",
    paths: ["servers.*.routes.#.respond", "servers.*.respond"],
    text: "",
    example: `servers:
  web:
    listen: ":8080"
    respond:
      status: 503
      headers: { retry-after: "120" }
      body: "<h1>Back in two minutes</h1>"
      contentType: text/html; charset=utf-8
`,
  },
  {
    title: "redirect",
    place: "`redirect` of a route",
    paths: ["servers.*.routes.#.redirect", "servers.*.redirect"],
    text: "",
    example: `servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /docs/* }
        redirect: { to: "https://docs.example.org{uri}", status: 307 }
      - redirect: "https://www.example.org/"
`,
  },
  {
    title: "use",
    place: "an item of `use`",
    paths: ["servers.*.routes.#.use.#", "servers.*.use.#"],
    text: "Each item has exactly one feature. Requests pass them from the first to the last, answers from the last to the first. In `headgate.ts` a plugin object may stand in place of an item.",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - ipAllow: [10.0.0.0/8]
      - rewrite: { match: "^/v1/", to: "/api/1/" }
      - headers:
          request: { set: { x-gateway: edge-1 } }
      - compress: true
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "headers",
    place: "`headers` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.headers"],
    text: "Fields that frame a message or belong to one connection are the proxy's own and cannot be changed.\n\nValues for requests may have parts of the request in them: `{client}` is the address of the client (what a proxy in `trustedProxies` says it is), `{scheme}`, `{host}` (without port), `{path}`, `{query}` (without question mark) and `{uri}` (path and query) are those of its URL, the path as it stands at this place in `use`. `x-real-ip: \"{client}\"` is what nginx's `proxy_set_header X-Real-IP $remote_addr` does. Such a value is put in quotes, since YAML takes braces for a block. What the client sent under a name that is set or removed goes, in every spelling, and so do the trailers of its request, where some servers would find it again; a value that comes to nothing, such as the address of who comes by a unix socket, leaves the field out. Other braces are text, `{{client}}` is the text `{client}`, and in the content of a `{ file: path }` all are text. Of an answer, trailers go whose names are set or removed.",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - headers:
          request:
            set: { authorization: { file: upstream-token }, x-real-ip: "{client}" }
            remove: [x-internal]
          response:
            set: { strict-transport-security: max-age=31536000 }
            add: { link: ["</a.css>; rel=preload", "</b.js>; rel=preload"] }
            remove: [server, x-powered-by]
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "rewrite",
    place: "`rewrite` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.rewrite"],
    text: "Changes the path. To put the paths of a server under a folder of the upstream, match the slash at the beginning.",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - rewrite: { match: "^/", to: "/base/" }
      - rewrite: { match: "^/base/user/(?<id>[0-9]+)$", to: "/base/u/$<id>" }
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "ipAllow",
    place: "`ipAllow` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.ipAllow"],
    text: "",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - ipAllow: { allow: [10.0.0.0/8, "fd00::/8"], deny: [10.6.6.0/24] }
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "compress",
    place: "`compress` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.compress"],
    text: "",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - compress: { encodings: [br, gzip], minBytes: 2KiB, types: [text/*, application/json], level: { br: 5 } }
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "cache",
    place: "`cache` in an item of `use`, and in `forward`",
    paths: ["servers.*.routes.#.use.#.cache", "servers.*.use.#.cache", "servers.*.forward.cache"],
    text: "[The shared cache](cache.md) begins at nothing and goes through all of it. `cache: NAME` is short for `cache: { store: NAME }`, and `cache: true` is the only cache of the file, or one in the usual place. It stands behind everything that asks who somebody is.",
    example: `caches:
  artifacts: { directory: /var/cache/headgate/artifacts, size: 50GiB }
servers:
  web:
    listen: ":8080"
    use:
      - cache:
          store: artifacts
          key: { query: { exclude: [utm_*] }, headers: [accept-language] }
          rules:
            - { status: [200, 301], for: 7d, ignore: [cache-control, expires, set-cookie] }
            - { for: 1m }
          bypass: [{ header: { x-no-cache: true } }]
          staleOnError: 1d
          staleWhileRevalidate: 30s
    proxy: https://downloads.example.org
  egress:
    listen: "127.0.0.1:3128"
    forward:
      cache: artifacts
`,
  },
  {
    title: "oidc",
    place: "`oidc` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.oidc"],
    text: "The chapter on [authentication](auth.md#oidc) has a complete example and says what happens when.",
    example: `stores:
  logins: lmdb:/var/lib/headgate/sessions
servers:
  web:
    listen: ":8443"
    use:
      - oidc:
          issuer: https://login.example.org/realms/staff
          clientId: headgate
          clientSecret: "\${OIDC_SECRET:-for the example}"
          key: "\${OIDC_KEY:-00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff}"
          session: { store: logins }
          backchannelLogoutPath: /oauth2/backchannel-logout
          claims: { x-user: email, x-groups: realm_access.roles }
          require: { email_verified: true }
          forward: accessToken
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "credentials",
    place: "`credentials` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.credentials"],
    text: "[Authentication](auth.md#credentials) walks through it: what a login back end writes, what the upstream gets, and what the client is told when it is refused.",
    example: `stores:
  logins: { url: "redis://127.0.0.1:6379" }
servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /jmap/* }
        use:
          - credentials:
              token: { cookie: Authorization, algorithm: HS512, key: { file: jwt.key } }
              session: { store: logins, key: "{sid}" }
              decrypt: { algorithm: aes-256-gcm, key: { file: credentials.key } }
        proxy: http://127.0.0.1:8081
`,
  },
  {
    title: "token",
    place: "`token` of `credentials`; the same fields stand in `jwt` itself",
    paths: ["servers.*.routes.#.use.#.credentials.token"],
    text: "A key is for one algorithm, and a token cannot choose another. A request with tokens in two places, or twice in one, is refused: the upstream could believe the one that was not verified. So is one with two lines of `Authorization`, where tokens are looked for there.",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - credentials:
          token:
            bearer: true
            cookie: session
            keys:
              - { algorithm: HS256, key: "\${SESSION_SECRET:-a-secret-of-the-test}" }
              - { algorithm: [RS256, ES256], jwks: "https://login.example.org/.well-known/jwks.json" }
            issuer: https://login.example.org
            audience: mail
            leeway: 5s
          session: { store: "lmdb:/var/lib/headgate/sessions", key: "{sid}" }
          decrypt: { key: { file: credentials.key } }
    proxy: http://127.0.0.1:8081
`,
  },
  {
    title: "jwt",
    place: "`jwt` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.jwt"],
    text: "Here stand all the fields of a [token](#token) too, which say where it is and when it is good. A token that is not good is answered with 401, an identity that lacks what `require` says with 403. [Authentication](auth.md#jwt) says more.",
    omit: TOKEN_FIELDS,
    example: `servers:
  web:
    listen: ":8080"
    use:
      - jwt:
          algorithm: RS256
          jwks: { url: "https://login.example.org/.well-known/jwks.json", maxAge: 5m }
          issuer: https://login.example.org
          audience: reports
          require: '"reports" in groups and email_verified'
          headers: { x-user: sub, x-groups: groups }
          forward: false
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "forwardAuth",
    place: "`forwardAuth` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.forwardAuth"],
    text: "An answer of 2xx lets the request go on, any other one is the client's; without an answer the client gets 503. [docs/auth.md](auth.md#forwardauth) shows it at work, and how to come from Traefik and nginx.",
    example: `upstreams:
  auth: { servers: ["http://127.0.0.1:4181"], timeouts: { connect: 500ms } }
servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /api/* }
        use:
          - forwardAuth:
              address: auth/verify
              requestHeaders: [authorization, cookie]
              responseHeaders: [x-user, "/^x-auth-/"]
              identityHeader: x-user
              decisions: { for: 10s, by: ["header:authorization", "cookie:session"] }
        proxy: http://127.0.0.1:3000
      - use:
          - forwardAuth:
              address: https://auth.internal:8443/verify?realm=web
              tls: { ca: internal.pem }
              responseCookies: [session]
              signIn: "https://login.example.org/start?rd={url}"
        proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "basicAuth",
    place: "`basicAuth` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.basicAuth"],
    text: "[Authentication](auth.md#basicauth) says how a file of users is made, and what a login costs.",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - basicAuth: { file: users.htpasswd, realm: Staff, userHeader: x-user }
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "apiKey",
    place: "`apiKey` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.apiKey"],
    text: "[Authentication](auth.md#apikey) says how keys are made, and how they stay out of logs.",
    example: `servers:
  web:
    listen: ":8080"
    use:
      - apiKey:
          keys:
            - { name: build-farm, sha256: 0f8d0eb96a4d8a6a7a0ec8a1e4d1a3f5d4c3b2a190817263544536271809f0e1 }
          from: [bearer, "header:x-api-key"]
          nameHeader: x-client
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "clientCertificate",
    place: "`clientCertificate` in an item of `use`",
    paths: ["servers.*.routes.#.use.#.clientCertificate"],
    text: "The listener asks for certificates and verifies them: `tls.clientAuth` of [servers](#servers). [Authentication](auth.md#clientcertificate) says what each of the two decides.",
    example: `servers:
  web:
    listen:
      address: ":8443"
      tls:
        certificates: [{ cert: example.org.pem, key: example.org.key }]
        clientAuth: { ca: clients.pem, mode: optional }
    routes:
      - match: { path: /public/* }
        proxy: http://127.0.0.1:3000
      - use:
          - clientCertificate:
              sans: [dns:build.example.org, dns:deploy.example.org]
              headers: { x-client-subject: subject, client-cert: certificate }
        proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "upstreams",
    place: "`upstreams.NAME`",
    paths: ["upstreams.*"],
    text: "A route names an upstream in `proxy`. A timeout ends an exchange; limits and the queue are for each server of the upstream. A connection on which a user was logged in for good (`NTLM`, `Negotiate`) serves the client's connection that it belongs to, and no other.",
    example: `upstreams:
  app:
    servers:
      - https://app-1.internal:8443
      - { url: "https://app-2.internal:8443", weight: 2 }
    balance: hash
    hash: { by: "cookie:session" }
    tls: { serverName: app.internal, ca: internal.pem }
    timeouts: { connect: 1s, response: 10s }
    maxConnections: 100
    queue: { max: 50, timeout: 2s }
    health: /healthz
servers:
  web:
    listen: ":8080"
    proxy: app
`,
  },
  {
    title: "stores",
    place: "`stores.NAME`",
    paths: ["stores.*"],
    text: "Where the sessions are that features look up. [Operations](operations.md#session-stores) says what they promise when a session is deleted, when Redis is away and when the power fails, and how `headgate session` works on them.",
    example: `stores:
  logins:
    url: rediss://redis.internal:6379/1
    username: headgate
    password: { file: redis-password }
    tls: { ca: internal.pem }
    cache: { entries: 20000 }
  cluster: { url: "redis://redis-1.internal:6379", cluster: true, nodes: ["redis-2.internal:6379"] }
  failover:
    url: redis://main/0
    sentinel: { name: main, nodes: [sentinel-1.internal, sentinel-2.internal] }
    grace: 5m
  local: lmdb:/var/lib/headgate/sessions
servers:
  web:
    listen: ":8080"
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "caches",
    place: "`caches.NAME`",
    paths: ["caches.*"],
    text: "Where `cache` keeps what it keeps. [The shared cache](cache.md) says what is in the folder, what happens when it is full or fails, and how `headgate cache` works on it. When `directory` changes, the cache is another one, and empty; other changes apply with a reload.",
    example: `caches:
  artifacts: { directory: /var/cache/headgate/artifacts, size: 50GiB, inactive: 7d, minFree: 5GiB }
  pages: { size: 1GiB, memory: 256MiB, maxObject: 1MiB }
servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /downloads/* }
        use: [{ cache: artifacts }]
        proxy: https://downloads.example.org
      - use: [{ cache: pages }]
        proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "limits",
    place: "`limits` of the file, of a server, of a route",
    paths: ["limits", "servers.*.limits", "servers.*.routes.#.limits"],
    text: "An inner block wins over an outer one, field by field. A route has only `body`, `bodyTimeout`, `tunnelIdle` and `tunnelLifetime`: the others apply before a route is chosen.",
    example: `limits: { headTimeout: 5s, body: 10MiB }
servers:
  web:
    listen: ":8080"
    limits: { idle: 2m }
    routes:
      - match: { path: /upload }
        limits: { body: none, bodyTimeout: 5m }
        proxy: http://127.0.0.1:3000
      - proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "admin",
    place: "top level",
    paths: ["admin"],
    text: "`admin: ADDRESS` is short for `admin: { listen: ADDRESS }`. [Operations](operations.md) says where the socket of `auto` is, and what can be asked there.",
    example: `admin: unix:/run/headgate/admin.sock
servers:
  web:
    listen: ":8080"
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "log",
    place: "top level",
    paths: ["log"],
    text: "The access log has a line for each exchange; what the proxy has to say about itself goes to standard error. A server and a route may have `log: { access: off }` or `log: { access: { sample: 0.1 } }`.",
    example: `log:
  level: warn
  access:
    format: "{time} {client} {method} {uri} {status} {durationMs} {header:user-agent}"
    output: /var/log/headgate/access.log
    sample: 0.1
    redact: [x-api-key]
servers:
  web:
    listen: ":8080"
    proxy: http://127.0.0.1:3000
`,
  },
  {
    title: "log of a route",
    place: "`log` of a server or a route",
    paths: ["servers.*.routes.#.log", "servers.*.log"],
    text: "What is not said here comes from the server, and from the file.",
    example: `servers:
  web:
    listen: ":8080"
    routes:
      - match: { path: /metrics }
        log: { access: off }
        proxy: http://127.0.0.1:9100
      - log: { access: { sample: 0.01 } }
        proxy: http://127.0.0.1:3000
`,
  },
];

export const DOCS_INTRODUCTION = `Headgate reads one file: the one that \`--config\` names, else \`headgate.yaml\`, \`headgate.yml\`,
\`headgate.json\` or \`headgate.ts\` in the current folder. \`headgate check\` says whether a file is right and where it is not;
\`headgate schema\` prints its JSON Schema, by which an editor completes and checks while you type:

\`\`\`yaml
# yaml-language-server: $schema=node_modules/headgate/docs/schema.json
\`\`\`

- **Unknown names, wrong types and impossible values are errors**, with file, line, column and the nearest known name. Nothing
  starts with one, and a reload with one changes nothing.
- **The environment**: \`\${NAME}\` in any value is replaced by the variable, \`\${NAME:-default}\` by the default when it is unset or
  empty; an unset variable without a default is an error. \`$\${\` stands for the characters themselves. A variable is always one
  value: it cannot add fields.
- **Secrets** (the values of header fields) may be \`{ file: path }\`: the content of the file, without its last line break.
- **Paths** of files begin at the folder of the configuration file unless they are absolute.
- **In TypeScript**, \`export default defineConfig({ ... })\` has the same fields, with plugins and functions besides. On a reload
  the file itself is read again, not the modules that it imports. When its text has changed, new workers take over, which import
  both anew.
`;
