// Words of other proxies for our fields: what each leads to exists, and what is proposed can be written.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parse } from "yaml";
import { BLOCKS, type Block, FOREIGN_WORDS, meantByField } from "./foreign-words.ts";
import { knownFields } from "./known-fields.ts";
import { parseConfigObject } from "./parse.ts";
import { formatProblem, nearest, type Path } from "./problems.ts";

type Fields = Readonly<Record<string, unknown>>;

function pathOf(place: string): Path {
  const steps = place === "" ? [] : place.split(".");
  return steps.map((step) => (step === "#" ? 0 : step === "*" ? "web" : step));
}

const ACTIONS = ["proxy", "respond", "redirect", "routes"];
const withAction = (fields: Fields) =>
  ACTIONS.some((name) => name in fields) ? fields : { proxy: "http://127.0.0.1:3000", ...fields };
const server = (fields: Fields) => ({ servers: { web: { listen: ":1", ...withAction(fields) } } });
const used = (item: Fields) => server({ use: [item] });

/** A whole file in which the fields stand in a block of the kind. */
const FILE_WITH: Readonly<Record<Block, (fields: Fields) => Fields>> = {
  file: (fields) => ({ ...server({}), ...fields }),
  server,
  listen: (fields) => server({ listen: { address: ":1", ...fields } }),
  listenTls: (fields) => server({ listen: { address: ":1", tls: fields } }),
  certificate: (fields) => server({ listen: { address: ":1", tls: { certificates: [fields] } } }),
  route: (fields) => server({ routes: [withAction(fields)] }),
  forward: (forward) => server({ forward }),
  match: (match) => server({ routes: [withAction({ match })] }),
  proxy: (fields) => server({ proxy: { to: "http://127.0.0.1:3000", ...fields } }),
  upstream: (fields) => ({
    upstreams: { app: { servers: ["http://127.0.0.1:3000"], ...fields } },
    ...server({ proxy: "app" }),
  }),
  health: (health) => server({ proxy: { to: "http://127.0.0.1:3000", health } }),
  upstreamServer: (fields) => ({ upstreams: { app: { servers: [fields] } }, ...server({ proxy: "app" }) }),
  timeouts: (timeouts) => server({ proxy: { to: "http://127.0.0.1:3000", timeouts } }),
  siteTimeouts: (timeouts) => server({ timeouts }),
  log: (log) => ({ log, ...server({}) }),
  use: used,
  headers: (headers) => used({ headers }),
  headersOf: (request) => used({ headers: { request } }),
  rewrite: (fields) => used({ rewrite: { match: "a", to: "/b", ...fields } }),
  cache: (fields) => ({ caches: { a: fields }, ...used({ cache: "a" }) }),
  cacheUse: (cache) => used({ cache }),
  cacheRule: (fields) => used({ cache: { rules: [{ for: "1d", ...fields }] } }),
};

describe("what a foreign word means exists:", () => {
  const seen = new Set<string>();
  for (const [words, blocks, meant] of FOREIGN_WORDS) {
    it(`${words} in ${blocks.join(", ")}`, () => {
      for (const block of blocks) {
        const fields = BLOCKS[block].flatMap((place) => knownFields(pathOf(place)));
        if ("name" in meant) {
          for (const place of BLOCKS[block]) assert.ok(knownFields(pathOf(place)).includes(meant.name), place);
        } else if ("write" in meant) {
          const written = FILE_WITH[meant.at ?? block](parse(`{ ${meant.write} }`) as Fields);
          const result = parseConfigObject(written, { file: "headgate.ts" });
          assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
        }
        for (const word of words.split(" ")) {
          assert.ok(!fields.includes(word), `${word} is a field of ${block}`);
          assert.ok(!seen.has(`${block} ${word}`), `${word} has two meanings in ${block}`);
          seen.add(`${block} ${word}`);
          for (const place of BLOCKS[block]) assert.equal(meantByField([...pathOf(place), word]), meant, word);
        }
      }
    });
  }
});

it("a longer word for a field of ours is found by its beginning", () => {
  for (const word of ["healthCheck", "health_check", "HealthChecks"])
    assert.equal(nearest(word, ["tls", "health"]), "health");
});

it("a word has its meaning in its block alone", () => {
  assert.deepEqual(meantByField(["servers", "web", "use", 0, "GZIP"]), { name: "compress" });
  assert.deepEqual(meantByField(["upstreams", "web", "lb-policy"]), { name: "balance" });
  for (const path of [["log", "gzip"], ["servers", 0, "gzip"], ["gzip"], []]) assert.equal(meantByField(path), null);
});
