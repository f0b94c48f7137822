/** What a file means that says almost nothing. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { ACCESS_FIELDS_DEFAULT } from "./access-fields.ts";
import type { Config } from "./config.ts";
import { parseConfig } from "./parse.ts";

const LIMITS_OF_A_ROUTE = {
  bodyBytesMax: null,
  bodyTimeoutMs: 60_000,
  tunnelIdleMs: 3_600_000,
  tunnelLifetimeMs: null,
};

const EXPECTED: Config = {
  workers: "auto",
  transport: "auto",
  admin: { kind: "auto" },
  log: {
    level: "info",
    access: {
      format: { kind: "json", fields: ACCESS_FIELDS_DEFAULT.map((name) => ({ kind: "field", name }) as never) },
      output: { kind: "stdout" },
      sample: 1,
      redact: ["authorization", "cookie", "set-cookie", "proxy-authorization"],
      redactQuery: [],
    },
  },
  trustedProxies: [],
  via: { kind: "auto" },
  drainTimeoutMs: 25_000,
  stores: [],
  caches: [],
  upstreams: [
    {
      name: "http://127.0.0.1:3000",
      servers: [
        {
          url: "http://127.0.0.1:3000",
          scheme: "http",
          host: "127.0.0.1",
          port: 3000,
          authority: "127.0.0.1:3000",
          weight: 1,
        },
      ],
      balance: "round-robin",
      hashBy: { kind: "client" },
      tls: { serverName: null, ca: null, cert: null, key: null, verify: true, minVersion: "TLSv1.2" },
      connectTimeoutMs: 3_000,
      idleMs: 60_000,
      lifetimeMs: 3_600_000,
      connectionsMax: null,
      health: null,
      queueMax: 1024,
      queueTimeoutMs: 5_000,
      retryBudgetShare: 0.2,
      retryBudgetMin: 10,
    },
  ],
  servers: [
    {
      name: "web",
      listen: [
        {
          text: ":8080",
          address: { kind: "tcp", host: null, port: 8080 },
          tls: null,
          protocol: "http",
          transparent: false,
          proxyProtocol: null,
        },
      ],
      limits: {
        headBytesMax: 32_768,
        requestLineBytesMax: 16_384,
        fieldsMax: 128,
        headTimeoutMs: 10_000,
        idleTimeoutMs: 75_000,
        ...LIMITS_OF_A_ROUTE,
      },
      halfClose: false,
      forward: null,
      routes: [
        {
          name: "web",
          match: {
            host: null,
            path: null,
            pathRegex: null,
            method: null,
            header: null,
            cookie: null,
            query: null,
            client: null,
            websocket: null,
            scheme: null,
          },
          use: [],
          action: {
            kind: "proxy",
            upstream: "http://127.0.0.1:3000",
            use: { host: "preserve", responseTimeoutMs: 30_000, bodyTimeoutMs: 300_000, retriesMax: 2 },
          },
          upgrade: ["websocket"],
          limits: LIMITS_OF_A_ROUTE,
          accessLog: { off: false, sample: 1 },
        },
      ],
    },
  ],
};

it("a server with a listen and a target is a complete file", () => {
  const yaml = 'servers:\n  web:\n    listen: ":8080"\n    proxy: http://127.0.0.1:3000\n';
  const json = '{ "servers": { "web": { "listen": ":8080", "proxy": "http://127.0.0.1:3000" } } }';
  assert.deepEqual(parseConfig(yaml, { file: "headgate.yaml" }), { ok: true, config: EXPECTED, warnings: [] });
  assert.deepEqual(parseConfig(json, { file: "headgate.json" }), { ok: true, config: EXPECTED, warnings: [] });
});
