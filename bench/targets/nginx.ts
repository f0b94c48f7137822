/** nginx, as the documentation of its proxy module advises for kept connections. What the others are compared with. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { placesFor } from "../origin/nginx-origin.ts";
import { findCommand, versionOf } from "../processes/commands.ts";
import type { Assignment, Target } from "./target.ts";

const PASS = `proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host; proxy_pass http://origin;`;
/** Instead of the first line's Connection, where a connection may become a WebSocket. */
const UPGRADE = `proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;`;

/** What the endpoint says, by what the caller shows and asks for. */
const KEEP =
  'proxy_cache auth; proxy_cache_valid 204 10s; proxy_cache_key "$http_authorization|$request_method|$host|$request_uri";';

/** What a program may answer for several while it asks once, sent from its file by the kernel, which is open already. */
const CACHED = `proxy_cache objects; proxy_cache_lock on; sendfile on; tcp_nopush on; open_file_cache max=20000 inactive=1h;
    open_file_cache_valid 1h;`;

/** Its own are of one page each. */
const LARGE_BUFFERS = `client_body_buffer_size 256k; proxy_buffer_size 64k; proxy_buffers 8 128k; proxy_busy_buffers_size 512k;`;

function servers({ port, tls, routes, authPort, keepsDecisions, cache }: Assignment): string {
  const secure =
    tls === null ? "" : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key}; ssl_protocols TLSv1.2 TLSv1.3;`;
  const listen = `listen 127.0.0.1:${port} backlog=4096 reuseport${tls === null ? "" : " ssl"}; ${secure}`;
  const listenToo = `listen 127.0.0.1:${port};`;
  if (routes !== null) {
    const locations = routes.paths.map((prefix) => `location ${prefix}/ { ${PASS} }`).join("\n");
    return routes.hosts
      .map((host, index) => `server { ${index === 0 ? listen : listenToo} server_name ${host};\n${locations} }`)
      .join("\n");
  }
  const auth =
    authPort === null
      ? ""
      : "auth_request /auth; auth_request_set $user $upstream_http_x_user; proxy_set_header X-User $user;";
  const ask = `location = /auth { internal; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header X-Original-URI $request_uri;
    ${keepsDecisions ? KEEP : ""} proxy_pass http://auth/auth; }`;
  return `server { ${listen} location / { ${auth} ${cache === null ? "" : CACHED} ${PASS} }
    location /websocket { ${PASS.replace('proxy_set_header Connection "";', UPGRADE)} }
    ${authPort === null ? "" : ask} }`;
}

function upstream(name: string, port: number): string {
  return `upstream ${name} { server 127.0.0.1:${port}; keepalive 256; keepalive_requests 100000000; keepalive_timeout 3600s; }`;
}

export function nginxConfig(assignment: Assignment): string {
  const {
    folder,
    originPort,
    authPort,
    keepsDecisions,
    workers,
    clientsMax,
    accessLog,
    accessLogBuffered,
    largeBuffers,
    cache,
  } = assignment;
  const log = accessLog === null ? "off" : `${accessLog} combined${accessLogBuffered ? " buffer=64k flush=1s" : ""}`;
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `worker_processes ${workers}; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.err;
events { worker_connections ${placesFor(clientsMax * 2)}; }
http {
  access_log ${log}; keepalive_requests 100000000; keepalive_timeout 3600s; server_tokens off;
  client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  ${largeBuffers ? LARGE_BUFFERS : ""}
  server_names_hash_max_size 65536; server_names_hash_bucket_size 128;
  ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  map $http_upgrade $connection_upgrade { default upgrade; "" ""; }
  ${upstream("origin", originPort)}
  ${authPort === null ? "" : upstream("auth", authPort)}
  ${keepsDecisions ? `proxy_cache_path ${folder}/decisions keys_zone=auth:8m;` : ""}
  ${cache === null ? "" : `proxy_cache_path ${cache.folder} levels=1:2 keys_zone=objects:32m max_size=${cache.diskBytes} inactive=7d use_temp_path=off;`}
  ${servers(assignment)}
}
`;
}

export const nginx: Target = {
  name: "nginx",
  abilities: [
    "reverse",
    "closing",
    "tls",
    "workers",
    "websocket",
    "routes",
    "accessLog",
    "forwardAuth",
    "keptDecisions",
    "cache",
  ],
  lacks: {
    forward: "nginx is no forward proxy",
    connect: "nginx is no forward proxy",
    redisReads: "Debian's nginx runs no code that reads Redis",
  },
  missing: () => (findCommand("nginx") === null ? "apt-get install nginx" : null),
  version: () => versionOf("nginx", ["-v"]),
  launch(assignment) {
    mkdirSync(assignment.folder, { recursive: true });
    const file = path.join(assignment.folder, "nginx.conf");
    writeFileSync(file, nginxConfig(assignment));
    return { command: [findCommand("nginx")!, "-e", path.join(assignment.folder, "nginx.err"), "-c", file] };
  },
};
