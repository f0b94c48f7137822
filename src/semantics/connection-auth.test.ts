import assert from "node:assert/strict";
import { test } from "node:test";
import { FieldBlock } from "../core/fields.ts";
import { asksToAuthenticateConnection, authenticatesConnection } from "./connection-auth.ts";

const AUTHORIZATION: readonly (readonly [boolean, ...string[]])[] = [
  [true, "NTLM TlRMTVNTUAAB"],
  [true, "ntlm"],
  [true, "nEGOTIATE YII="],
  [true, "Basic eDp5", "Negotiate YII="],
  [false, "Basic NTLM"],
  [false, "NTLMv2 x"],
  [false, "Negotiated x"],
  [false, "Nonce x"],
  [false, ""],
  [false],
];

test("which credentials are for the connection", () => {
  for (const [isSo, ...values] of AUTHORIZATION) {
    const fields = FieldBlock.from([["Host", "a"], ...values.map((value) => ["authorization", value] as const)]);
    assert.equal(authenticatesConnection(fields), isSo, values.join(" | "));
    fields.release();
  }
});

const CHALLENGES: readonly (readonly [boolean, ...string[]])[] = [
  [true, "NTLM"],
  [true, "Negotiate", "NTLM"],
  [true, 'Basic realm="x"', "ntlm TlRMTVNTUAAC"],
  [true, 'Basic realm="x",Negotiate'],
  [true, 'Digest nonce="x", NTLM , Basic realm="y"'],
  [false, 'Basic realm="ntlm"'],
  [false, "Bearer"],
  [false],
];

test("which challenges ask for them", () => {
  for (const [isSo, ...values] of CHALLENGES) {
    const fields = FieldBlock.from(values.map((value) => ["WWW-Authenticate", value] as const));
    assert.equal(asksToAuthenticateConnection(401, fields), isSo, values.join(" | "));
    assert.equal(asksToAuthenticateConnection(200, fields), false);
    fields.release();
  }
});
