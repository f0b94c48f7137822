import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { foldedName, NameVariants } from "./name-variants.ts";

describe("variants of a field's name", () => {
  it("have one form", () => {
    for (const name of ["X-User", "x_user", "X.USER", "x!user", "X-uSeR"]) assert.equal(foldedName(name), "x-user");
    assert.equal(foldedName("x-us3r"), "x-us3r");
    assert.notEqual(foldedName("x-users"), foldedName("x-user"));
  });

  it("are removed, all lines of them, and nothing else", () => {
    const names = ["X-User", "x_user", "X", "x-user-id", "ax-user", "X.User", "X--User", "XUser", "Cookie"];
    const fields = FieldBlock.from(names.map((name) => [name, "1"]));
    fields.delete("xuser");
    const variants = new NameVariants(["X-User", "cookie"]);
    variants.removeFrom(fields);
    assert.deepEqual(
      [...fields.entries()].map(([name]) => name),
      ["X", "x-user-id", "ax-user", "X--User"],
    );
    variants.removeFrom(new FieldBlock());
  });

  it("stay where they are behind the rows that are meant", () => {
    const fields = FieldBlock.from([["X-User", "1"]]);
    fields.append("x_user", "2");
    new NameVariants(["x-user"]).removeFrom(fields, 1);
    assert.deepEqual([...fields.entries()], [["x_user", "2"]]);
  });
});
