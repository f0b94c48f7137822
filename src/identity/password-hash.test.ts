import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { passwordHasher } from "../io/password-hasher.ts";
import { judgeHash, type PasswordHash, standInHash } from "./password-hash.ts";

/** Of no password: only its form counts. */
const BCRYPT = "$2y$05$QQxXQxCQRLXpNwgcU8rjh.TJXFsQphwwuJ/iMNEQ7HzB4uh0RHZSe";
const SALT = "c2FsdHNhbHRzYWx0c2FsdA";
const DIGEST = "A".repeat(43);
const argon = (costs: string, salt = SALT, digest = DIGEST) => `$argon2id$v=19$${costs}$${salt}$${digest}`;

function hashOf(text: string): PasswordHash {
  const verdict = judgeHash(text);
  assert.ok(verdict.ok, verdict.ok ? "" : verdict.why);
  return verdict.hash;
}

describe("hashes of passwords", () => {
  it("that are taken", () => {
    assert.deepEqual(hashOf(BCRYPT), {
      text: BCRYPT,
      kind: "bcrypt",
      costs: "$2y$05$",
      saltBytes: 16,
      digestBytes: 23,
    });
    for (const version of ["2a", "2b"]) assert.equal(hashOf(BCRYPT.replace("2y", version)).costs, `$${version}$05$`);
    assert.deepEqual(hashOf(argon("m=65536,t=3,p=4")), {
      text: argon("m=65536,t=3,p=4"),
      kind: "argon2id",
      costs: "$argon2id$v=19$m=65536,t=3,p=4$",
      saltBytes: 16,
      digestBytes: 32,
    });
  });

  const refused: readonly (readonly [text: string, why: RegExp])[] = [
    [
      "$apr1$FOz3XH9Q$cR8MsS9uYHlbUK0ec3fJK/",
      /^apr1 \(MD5\) is not safe any more: make the hash anew with `headgate user` or `htpasswd -B`$/,
    ],
    ["{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=", /^an unsalted SHA-1 is not safe: .*htpasswd -B/],
    ["fkVlqdWlRUVhQ", /^crypt \(DES\), or a password as it is, .*htpasswd -B/],
    ["$1$abc$def", /^md5crypt/],
    ["$6$salt$hash", /^sha-crypt is not supported/],
    ["$argon2i$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", /^of argon2 only argon2id/],
    ["$argon2id$m=65536,t=3,p=4$c2FsdA$aGFzaA", /^of argon2id only version 19/],
    ["$2x$05$QQxXQxCQRLXpNwgcU8rjh.TJXFsQphwwuJ/iMNEQ7HzB4uh0RHZSe", /^this bcrypt hash is not whole/],
    [BCRYPT.slice(0, -1), /^this bcrypt hash is not whole/],
    [BCRYPT.replace("$05$", "$03$"), /^bcrypt has costs from 4 to 31/],
    [BCRYPT.replace("$05$", "$15$"), /^a bcrypt cost of 15 is above 14: .*-C 12$/],
    [argon("m=131073,t=1,p=1"), /^argon2id with 131073 KiB of memory is above 131072/],
    [argon("m=65536,t=11,p=1"), /^argon2id with 11 passes is above 10/],
    [argon("m=65536,t=1,p=17"), /^argon2id with 17 lanes is above 16/],
    [argon("m=31,t=1,p=4"), /^the costs of this argon2id hash are impossible/],
    [argon("m=65536,t=0,p=1"), /^the costs of this argon2id hash are impossible/],
    [argon("m=65536,t=3,p=4", `${SALT}B`), /^this argon2id hash is not whole/],
    [argon("m=65536,t=3,p=4", "c2FsdHNhbHRzYWx0c2FsdB"), /^this argon2id hash is not whole/],
    [argon("m=65536,t=3,p=4", SALT, "AAAA"), /^this argon2id hash is not whole/],
    ["hunter2", /^this is no hash of a password that is supported/],
    ["", /^this is no hash of a password that is supported/],
  ];
  for (const [text, why] of refused) {
    it(`refused: ${text}`, () => {
      const verdict = judgeHash(text);
      assert.ok(!verdict.ok);
      assert.match(verdict.why, why);
      if (text.length > 5) assert.ok(!verdict.why.includes(text), "the message shows the text");
    });
  }
});

describe("a hash that stands in for a user who is not there", () => {
  const secret = Buffer.alloc(32, 7);
  const models = [BCRYPT, argon("m=64,t=1,p=1"), argon("m=64,t=2,p=2", "c2FsdHNhbHQ", "A".repeat(86))];

  it("costs what its model costs, is another for each name, and always the same for one", () => {
    for (const model of models.map(hashOf)) {
      const standIn = hashOf(standInHash(model, secret, "nobody"));
      assert.deepEqual({ ...standIn, text: "" }, { ...model, text: "" });
      assert.equal(standInHash(model, secret, "nobody"), standIn.text);
      assert.notEqual(standInHash(model, secret, "somebody"), standIn.text);
      assert.notEqual(standInHash(model, Buffer.alloc(32, 8), "nobody"), standIn.text);
    }
  });

  it("is one that the packages compute, and no password is right for it", async () => {
    for (const model of models.map(hashOf)) {
      for (let i = 0; i < 20; i++) {
        assert.equal(await passwordHasher.verify(standInHash(model, secret, `user ${i}`), Buffer.from("x")), false);
      }
    }
  });
});
