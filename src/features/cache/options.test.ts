// What the block `cache` takes, what it means, and what it refuses.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cacheOptions } from "./options.ts";

interface Issue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly errors?: readonly (readonly Issue[])[];
}

/** Of a union, what is wrong with each of its forms. */
function textsOf({ path, message, errors }: Issue): readonly string[] {
  return errors === undefined ? [`${path.join(".")}: ${message}`] : errors.flat().flatMap(textsOf);
}

const messages = (block: unknown): readonly string[] =>
  ((cacheOptions.safeParse(block).error?.issues ?? []) as readonly Issue[]).flatMap(textsOf);

describe("the options of cache", () => {
  it("are a name, or a block", () => {
    assert.deepEqual(cacheOptions.parse("artifacts"), cacheOptions.parse({ store: "artifacts" }));
    const { key, rules, staleOnError, maxObject, tags } = cacheOptions.parse("artifacts");
    assert.deepEqual(key, {
      query: { kind: "all", names: [], isSorted: false },
      headers: [],
      cookies: [],
      identity: false,
    });
    assert.deepEqual([rules, staleOnError, maxObject, tags], [[], null, 10 * 1024 ** 3, "surrogate-key"]);
  });

  it("have rules as nginx recipes do", () => {
    const { rules } = cacheOptions.parse({
      store: "a",
      rules: [
        { status: [200, "3xx"], for: "7d", ignore: ["cache-control", "set-cookie"] },
        { type: "image/*", path: "/a/*", min: "1m", max: "1h" },
        { status: 500, never: true },
      ],
    });
    assert.deepEqual(
      rules.map(({ status, path, type, forMs, minMs, maxMs, isNever }) => [
        status,
        path,
        type,
        forMs,
        minMs,
        maxMs,
        isNever,
      ]),
      [
        [["200", "3"], null, null, 604_800_000, null, null, false],
        [null, ["/a/*"], ["image/*"], null, 60_000, 3_600_000, false],
        [["500"], null, null, null, null, null, true],
      ],
    );
  });

  it("say in which requests the cache is passed by", () => {
    const { bypass } = cacheOptions.parse({
      store: "a",
      bypass: [{ header: { "X-No-Cache": true }, cookie: { session: "1" } }, { path: "/live/*" }],
    });
    assert.deepEqual(bypass, [
      {
        header: [{ name: "x-no-cache", values: null }],
        cookie: [{ name: "session", values: ["1"] }],
        query: null,
        path: null,
      },
      { header: null, cookie: null, query: null, path: ["/live/*"] },
    ]);
  });

  const refused: readonly (readonly [what: string, block: unknown, message: RegExp])[] = [
    ["a rule that does nothing", { rules: [{ status: 200 }] }, /says nothing of the answers/],
    ["a rule that keeps nothing for a time", { rules: [{ never: true, for: "1m" }] }, /rules\.0\.for: has no meaning/],
    ["bounds that exclude each other", { rules: [{ min: "2m", max: "1m" }] }, /rules\.0\.min: is longer than max/],
    ["bounds of a fixed time", { rules: [{ for: "2m", max: "1m" }] }, /rules\.0\.max: has no meaning/],
    ["a status that is none", { rules: [{ status: "6xx", for: "1m" }] }, /a status such as 404/],
    ["parameters in and out", { key: { query: { include: ["a"], exclude: ["b"] } } }, /cannot stand beside "include"/],
    ["a star inside of a name", { key: { query: { exclude: ["a*b"] } } }, /the name of a parameter/],
    ["a condition that asks for nothing", { bypass: [{}] }, /bypass\.0: asks for nothing/],
    ["names of nothing", { bypass: [{ header: {} }] }, /names nothing/],
    ["methods without GET", { methods: ["HEAD"] }, /answers come from GET/],
    ["an unknown key", { ttl: "1m" }, /[Uu]nrecognized key/],
  ];
  for (const [what, block, message] of refused) {
    it(`are refused with ${what}`, () => {
      assert.match(messages({ store: "a", ...(block as object) }).join("\n"), message);
    });
  }

  it("name a cache", () => {
    assert.match(messages({ store: "/var/cache" }).join("\n"), /the name of a cache/);
    assert.equal(cacheOptions.parse({ store: "a" }).store, "a");
  });

  it("need not name one", () => {
    assert.equal(cacheOptions.parse({}).store, null);
    assert.deepEqual(cacheOptions.parse(true), cacheOptions.parse({}));
  });
});
