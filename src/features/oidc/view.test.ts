import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hmacToken } from "../../../test/support/tokens.ts";
import { FieldBlock } from "../../core/fields.ts";
import { oidcOptions } from "./options.ts";
import type { Session } from "./session.ts";
import { viewOf } from "./view.ts";

const OPTIONS = oidcOptions.parse({
  issuer: "https://login.example.org",
  clientId: "headgate",
  key: "ab".repeat(32),
  claims: { "x-roles": "realm_access.roles" },
  require: { "realm_access.roles": "admin" },
});

function sessionWith(signed: object, userInfo: Record<string, unknown>): Session {
  const idToken = hmacToken({ sub: "mallory", ...signed }, "unread here");
  const nothing = { sid: null, accessToken: null, refreshToken: null, endsMs: null };
  return { subject: "mallory", idToken, gotMs: 0, createdMs: 0, seenMs: 0, userInfo, ...nothing };
}

function rolesOf(session: Session): string | null {
  const { lines } = viewOf(session, OPTIONS);
  if (lines === null) return null;
  const fields = new FieldBlock();
  fields.appendEncoded(lines);
  return fields.get("x-roles");
}

describe("what a route makes of a session", () => {
  it("believes what is signed, whatever names the userinfo endpoint has", () => {
    const session = sessionWith({ realm_access: { roles: ["user"] } }, { "realm_access.roles": ["admin"] });
    assert.equal(rolesOf(session), "user");
    assert.equal(viewOf(session, OPTIONS).unmet, "realm_access.roles");
  });

  it("takes from the userinfo endpoint what nothing signed says", () => {
    const session = sessionWith({}, { realm_access: { roles: ["admin"] } });
    assert.equal(rolesOf(session), "admin");
    assert.equal(viewOf(session, OPTIONS).unmet, null);
  });

  it("tells a user from those of other issuers", () => {
    const of = (issuer: string) => viewOf(sessionWith({}, {}), { ...OPTIONS, issuer }).identity;
    assert.notDeepEqual(of("https://a.example"), of("https://b.example"));
  });
});
