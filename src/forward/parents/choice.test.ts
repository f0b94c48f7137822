// Which parent a request tries first, which one next, and when one that has failed is tried again.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProxyError } from "../../core/errors.ts";
import { PARENT_AVOID_MS } from "../limits.ts";
import { ParentChoice } from "./choice.ts";
import { ParentUnreachable } from "./dialer.ts";
import { Parent } from "./parent.ts";
import { parseParentUrl } from "./url.ts";

const dead = new ParentUnreachable("connection_refused", "refused");

function stage(...names: string[]) {
  const parents = names.map((name) => new Parent(name, parseParentUrl(`http://${name}`)!, null));
  const way = { key: "v0", isSocks: false, parents };
  const first = (nowMs: number) => new ParentChoice(way, nowMs).current.host;
  return { parents, way, first };
}

describe("the choice among parents", () => {
  it("is the first one; the next ones in their order as each cannot be reached", () => {
    const { way } = stage("a", "b", "c");
    const choice = new ParentChoice(way, 0);
    const tried = [choice.current.host];
    while (choice.goesOn(dead, 0)) tried.push(choice.current.host);
    assert.deepEqual(tried, ["a", "b", "c"]);
    const summary = choice.summaryOf(dead);
    assert.equal(summary.message, "refused; refused; refused");
    assert.equal(summary.retryable, false);
  });

  it("ends with an answer, whatever it says", () => {
    const { way } = stage("a", "b");
    const choice = new ParentChoice(way, 0);
    const refused = new ProxyError("proxy_configuration_error", "it refuses our credentials");
    assert.equal(choice.goesOn(refused, 0), false);
    assert.equal(choice.summaryOf(refused), refused);
    const second = new ParentChoice(way, 0);
    assert.ok(second.goesOn(dead, 0));
    assert.equal(second.goesOn(refused, 0), false);
    assert.equal(second.summaryOf(refused), refused);
  });

  it("of one alone is that one, and its error is told as it is", () => {
    const { way, parents } = stage("a");
    parents[0]!.wasNotReached(0);
    const choice = new ParentChoice(way, 1);
    assert.equal(choice.current.host, "a");
    assert.equal(choice.goesOn(dead, 1), false);
    assert.equal(choice.summaryOf(dead), dead);
  });

  it("leaves one out that has failed; then one request tries it, and all of them when that has worked", () => {
    const { parents, first } = stage("a", "b");
    const [a] = parents;
    a!.wasNotReached(100);
    assert.equal(first(100), "b");
    assert.equal(first(99 + PARENT_AVOID_MS), "b");
    const again = 100 + PARENT_AVOID_MS;
    assert.equal(first(again), "a");
    assert.equal(first(again), "b", "one request is enough to find out");
    a!.wasReached();
    assert.equal(first(again), "a");
    assert.equal(first(again), "a");
  });

  it("takes one that is left out when all others are, too", () => {
    const { way, parents } = stage("a", "b", "c");
    for (const parent of parents) parent.wasNotReached(0);
    const choice = new ParentChoice(way, 1);
    const tried = [choice.current.host];
    while (choice.goesOn(dead, 1)) tried.push(choice.current.host);
    assert.deepEqual(tried, ["a", "b", "c"]);
  });
});
