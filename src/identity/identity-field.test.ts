import assert from "node:assert/strict";
import { it } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { fieldText, IdentityField } from "./identity-field.ts";

it("what a client calls like an identity field is removed, in every spelling that CGI takes for it", () => {
  const fields = FieldBlock.from([
    ["X-User", "1"],
    ["x_user", "2"],
    ["X_USER", "3"],
    ["x-user", "4"],
    ["X-User-Name", "kept"],
    ["X.User", "5"],
    ["Xuser", "kept"],
  ]);
  const field = new IdentityField("x-user");
  field.remove(fields);
  field.remove(fields);
  field.add(fields, "alice");
  assert.deepEqual(
    [...fields.entries()],
    [
      ["X-User-Name", "kept"],
      ["Xuser", "kept"],
      ["x-user", "alice"],
    ],
  );
});

it("an identity field may be one that the proxy knows by number", () => {
  const fields = FieldBlock.from([
    ["X_Real_IP", "1"],
    ["X-Real-IP", "2"],
  ]);
  new IdentityField("X-Real-Ip").remove(fields);
  assert.deepEqual([...fields.entries()], []);
});

it("names beyond ASCII travel as UTF-8", () => {
  const fields = new FieldBlock();
  new IdentityField("x-user").add(fields, fieldText("José"));
  assert.equal(Buffer.from(fields.get("x-user")!, "latin1").toString("utf8"), "José");
});
