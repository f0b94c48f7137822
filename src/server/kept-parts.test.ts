import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeptParts } from "./kept-parts.ts";

const make = () => ({});

describe("parts that outlive a configuration", () => {
  it("are the same for the same kind and options, in any order, and others for others", () => {
    const { kept } = new KeptParts().plan();
    const part = kept("keys", { url: "a", algorithms: ["RS256"] }, make);
    assert.equal(kept("keys", { algorithms: ["RS256"], url: "a" }, make), part);
    assert.notEqual(kept("keys", { algorithms: ["RS256"], url: "b" }, make), part);
    assert.notEqual(kept("provider", { algorithms: ["RS256"], url: "a" }, make), part);
  });

  it("live on while each configuration that is taken into use asks for them", () => {
    const parts = new KeptParts();
    const first = parts.plan();
    const part = first.kept("keys", "a", make);
    parts.keep(first);
    // Taken back: it changes nothing.
    parts.plan().kept("keys", "b", make);
    const second = parts.plan();
    assert.equal(second.kept("keys", "a", make), part);
    parts.keep(second);
    parts.keep(parts.plan());
    assert.notEqual(parts.plan().kept("keys", "a", make), part);
  });
});
