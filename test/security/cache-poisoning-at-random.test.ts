// A client that tries everything at once: odd spellings of host and URL, fields that say something else of them, fields that Connection
// takes away, other methods, ranges and conditions. Whatever it has sent, who asks plainly afterwards gets what the origin answers to
// who asks plainly.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Asked,
  answerOf,
  type CachingProxyOptions,
  cachingProxies,
  type FetchOptions,
} from "../support/caching-proxy.ts";
import { seed } from "../support/seed.ts";

const open = cachingProxies();

/** What an origin may make of a request: of its URL, of what others say of that, and of the field that the key names. */
const READ = [
  "Host",
  "X-Forwarded-Host",
  "X-Forwarded-Proto",
  "X-Forwarded-Prefix",
  "X-Forwarded-Port",
  "Forwarded",
  "X-Forwarded-User",
  "X-Original-URL",
  "X-HTTP-Method-Override",
  "X-Host",
  "X-Tenant",
];
const SPELLINGS = [
  "evil.example",
  "good.example",
  "/evil",
  "http",
  "https",
  "443",
  "POST",
  "alice",
  "host=evil.example",
  "a",
];
const HOSTS = [
  "good.example",
  "GOOD.example",
  "good.example.",
  "good.example:80",
  "good.example:443",
  "good.example:",
  "good.example:8080",
  "evil.example",
  "good.example@evil.example",
  "good.example, evil.example",
  "[::1]",
  "",
];
const TARGETS = [
  "/a",
  "/./a",
  "/b/../a",
  "//a",
  "/%61",
  "/a?",
  "/a?x",
  "/a;x",
  "/a/",
  "/a%2f",
  "/a#x",
  "/a%00",
  "/A",
  "http://good.example/a",
  "http://evil.example/a",
  "http://good.example:80/a",
  "HTTP://GOOD.EXAMPLE/a",
  "*",
];

const name = fc.constantFrom(...READ.slice(1), "x_tenant", "X_Forwarded_Host", "Cookie", "Accept-Encoding");
const field = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(name, fc.constantFrom(...SPELLINGS)) },
  fc.tuple(fc.constant("Connection"), name),
  fc.tuple(fc.constant("Range"), fc.constantFrom("bytes=0-0", "bytes=0-", "bytes=-1", "bytes=5-1")),
  fc.tuple(fc.constantFrom("If-None-Match", "If-Match"), fc.constantFrom("*", '"v"')),
  fc.tuple(fc.constant("Cache-Control"), fc.constantFrom("no-cache", "no-store", "max-age=0", "only-if-cached")),
  fc.tuple(fc.constant("Authorization"), fc.constant("Basic eA==")),
);
const attack = fc.record({
  method: fc.constantFrom("GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "get"),
  target: fc.constantFrom(...TARGETS),
  host: fc.constantFrom(...HOSTS),
  fields: fc.array(field, { maxLength: 4 }).map((fields) => Object.fromEntries(fields)),
});

function echo({ method, target, get }: Asked): string {
  const body = [method, target, ...READ.map((one) => `${one}=${get(one)}`)].join(" ");
  const answer = answerOf(200, { "Cache-Control": "max-age=600", ETag: '"v"' }, body);
  return method === "HEAD" ? answer.slice(0, -body.length) : answer;
}

const PLAIN: readonly FetchOptions[] = [{}, { fields: { "X-Tenant": "a" } }, { fields: { "X-Tenant": "b" } }];

for (const isTrusted of [false, true]) {
  test(`nothing that ${isTrusted ? "comes through a trusted proxy" : "a client sends"} is answered to others`, async () => {
    const options: CachingProxyOptions = {
      cache: { key: { headers: ["x-tenant"] } },
      ...(isTrusted ? { stage: { trustedProxies: ["192.0.2.0/24"] } } : {}),
    };
    const ask = async (proxy: Awaited<ReturnType<typeof open>>): Promise<string[]> => {
      const bodies: string[] = [];
      for (const one of PLAIN) bodies.push((await proxy.fetch("/a", { host: "good.example", ...one })).body);
      return bodies;
    };
    const clean = await open(options);
    clean.answer = echo;
    const expected = await ask(clean);
    await fc.assert(
      fc.asyncProperty(fc.array(attack, { minLength: 1, maxLength: 6 }), async (attacks) => {
        const proxy = await open(options);
        proxy.answer = echo;
        for (const { target, ...one } of attacks) {
          proxy.client(target, one);
          await proxy.settle();
        }
        assert.deepEqual(await ask(proxy), expected);
      }),
      { seed, numRuns: 150 },
    );
  });
}
