import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { KeyRing, open, seal, sealWithNonce } from "./envelope.ts";
import { ENVELOPE_ALGORITHMS } from "./options.ts";

const KEY = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER = "ff".repeat(32);
/** The vectors of docs/auth.md: "alice:secret" for "session-1", with the bytes from 0x20 on as nonce. */
const VECTORS = {
  "aes-256-gcm": "AWkfUPcgISIjJCUmJygpKiuzVs8TCaJpa3kOJ7oDcc5KBE2h_dTLUyMEBDuD",
  "aes-256-cbc-hmac-sha-256":
    "AmkfUPcgISIjJCUmJygpKissLS4vlP0vFD-hT7Rp4hffvA_q_TwzTU_Q39xrSes-ksXFBGPIaDaeLQJOgabXJIdX6sD_",
};
const countingNonce = (bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, index) => 0x20 + index));

for (const algorithm of ENVELOPE_ALGORITHMS) {
  describe(`envelope with ${algorithm}`, () => {
    const ring = new KeyRing([{ algorithm, key: KEY }]);

    it("has its test vector, and the document shows the same one", () => {
      assert.equal(sealWithNonce(ring, "alice:secret", "session-1", countingNonce), VECTORS[algorithm]);
      assert.equal(open(ring, VECTORS[algorithm], "session-1"), "alice:secret");
      const document = readFileSync(fileURLToPath(import.meta.resolve("../../docs/auth.md")), "utf8");
      assert.ok(document.includes(VECTORS[algorithm]));
    });

    it("opens whatever was sealed, for its own context only", () => {
      const text = fc.string({ unit: "binary", maxLength: 100 });
      const property = fc.property(text, text, text, (plaintext, context, otherContext) => {
        const envelope = seal(ring, plaintext, context);
        assert.equal(open(ring, envelope, context), plaintext);
        if (otherContext !== context) assert.equal(open(ring, envelope, otherContext), null);
        assert.notEqual(seal(ring, plaintext, context), envelope);
      });
      fc.assert(property);
    });

    it("refuses every change of a single character, every cut and every addition", () => {
      const envelope = seal(ring, "user:pass", "k");
      for (let at = 0; at < envelope.length; at++) {
        for (const character of ["A", "b", "_", "=", " ", "\u0141"]) {
          const changed = envelope.slice(0, at) + character + envelope.slice(at + 1);
          if (changed !== envelope) assert.equal(open(ring, changed, "k"), null, changed);
        }
        assert.equal(open(ring, envelope.slice(0, at), "k"), null);
        assert.equal(open(ring, envelope.slice(at + 1), "k"), null);
      }
      for (const more of ["A", "=", "==", "\n", "AAAA"]) assert.equal(open(ring, envelope + more, "k"), null, more);
    });

    it("refuses any text that is none, and bytes that only look like one", () => {
      const head = VECTORS[algorithm].slice(0, 6);
      const bytes = fc.uint8Array({ maxLength: 120 }).map((array) => head + Buffer.from(array).toString("base64url"));
      const property = fc.property(fc.oneof(bytes, fc.string()), (envelope) => open(ring, envelope, "k") === null);
      fc.assert(property, { numRuns: 500 });
    });

    it("is opened by its own key only, which its id finds among several", () => {
      const envelope = seal(ring, "user:pass", "k");
      const rotated = new KeyRing([
        { algorithm, key: OTHER },
        { algorithm, key: KEY },
      ]);
      assert.equal(open(rotated, envelope, "k"), "user:pass");
      assert.equal(open(new KeyRing([{ algorithm, key: OTHER }]), envelope, "k"), null);
      const renewed = seal(rotated, "user:pass", "k");
      assert.equal(open(ring, renewed, "k"), null);
      assert.equal(open(new KeyRing([{ algorithm, key: OTHER }]), renewed, "k"), "user:pass");
    });

    it("never opens by a key that was configured for the other algorithm", () => {
      const [other] = ENVELOPE_ALGORITHMS.filter((one) => one !== algorithm);
      const envelope = seal(ring, "user:pass", "k");
      assert.equal(open(new KeyRing([{ algorithm: other!, key: KEY }]), envelope, "k"), null);
    });

    it("does not seal half a surrogate pair, which has no UTF-8", () => {
      assert.throws(() => seal(ring, "\ud800", "k"), TypeError);
      assert.throws(() => seal(ring, "x", "\udc00"), TypeError);
      assert.equal(open(ring, seal(ring, "x", "\ufffd"), "\udc00"), null);
    });
  });
}

it("a sealed text that is no UTF-8 does not open", () => {
  // By AES-256-GCM with the key and nonce of the vector, over the single byte ff.
  const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: KEY }]);
  const ascii = sealWithNonce(ring, "\u007f", "k", countingNonce);
  assert.equal(open(ring, ascii, "k"), "\u007f");
  assert.equal(open(ring, "AWkfUPcgISIjJCUmJygpKistfi_ml0Q-wONVYEorbrCDeg", "k"), null);
});

it("a key ring refuses no keys, keys that are none, and one key twice", () => {
  const algorithm = "aes-256-gcm";
  assert.throws(() => new KeyRing([]), TypeError);
  for (const key of ["", "00", `${KEY}00`, `${KEY.slice(2)}zz`]) {
    assert.throws(() => new KeyRing([{ algorithm, key }]), TypeError, key);
  }
  const twice = [
    { algorithm, key: KEY },
    { algorithm, key: KEY },
  ] as const;
  assert.throws(() => new KeyRing(twice), /the same/);
});
