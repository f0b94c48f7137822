import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { AssertedFields } from "./asserted-fields.ts";

function left(asserted: readonly string[], sent: readonly string[]): string[] {
  const fields = FieldBlock.from(sent.map((name) => [name, "spoofed"] as const));
  new AssertedFields(asserted).removeFrom(fields);
  return [...fields.entries()].map(([name]) => name);
}

describe("asserted fields", () => {
  it("are removed in every case and number, and nothing else is", () => {
    assert.deepEqual(left(["X-User"], ["x-user", "X-USER", "X-User2", "X-Use", "Accept", "x-User"]), [
      "X-User2",
      "X-Use",
      "Accept",
    ]);
    assert.deepEqual(left(["authorization"], ["Authorization", "AUTHORIZATION", "Cookie"]), ["Cookie"]);
  });

  it("are removed under names that CGI reads as theirs", () => {
    assert.deepEqual(left(["X-User-Id"], ["X_User_Id", "x-user_id", "X.User.Id", "XUserId"]), ["X.User.Id", "XUserId"]);
    assert.deepEqual(left(["x_user"], ["X-User", "x_user"]), []);
    assert.deepEqual(left(["X-Real-IP"], ["x-real-ip", "X_Real_IP"]), []);
  });

  it("need not be any", () => assert.deepEqual(left([], ["Accept"]), ["Accept"]));
});
