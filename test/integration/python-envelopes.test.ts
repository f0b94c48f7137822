// What docs/auth.md gives a login back end to paste: run as it stands there, its envelopes open, and it makes the test
// vectors.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";
import { KeyRing, open } from "../../src/identity/envelope.ts";
import type { ENVELOPE_ALGORITHMS } from "../../src/identity/options.ts";
import { codeBlocks } from "../packaging/markdown.ts";
import { repositoryRoot } from "../packaging/npm.ts";
import { findPython } from "../support/python.ts";

const python = findPython("cryptography");
const skip =
  python === null && "skipped: needs Python with its package cryptography (apt-get install python3-cryptography)";
const document = readFileSync(path.join(repositoryRoot, "docs", "auth.md"), "utf8");
const snippets = codeBlocks(document, "python");

const FUNCTIONS: readonly (readonly [name: string, algorithm: (typeof ENVELOPE_ALGORITHMS)[number]])[] = [
  ["seal", "aes-256-gcm"],
  ["seal_cbc", "aes-256-cbc-hmac-sha-256"],
];
const KEY = Buffer.from(Array.from({ length: 32 }, (_, index) => index)).toString("hex");

/** Runs all snippets of the document and then prints what `expression` gives. */
function printed(expression: string): string {
  const program = `${snippets.join("\n")}\nkey = bytes.fromhex("${KEY}")\nprint(${expression})\n`;
  const result = spawnSync(python!, ["-"], { input: program, encoding: "utf8" });
  assert.equal(result.stderr, "");
  return result.stdout.trim();
}

describe("envelopes made in Python", { skip }, () => {
  for (const [name, algorithm] of FUNCTIONS) {
    it(`${name} makes what Headgate opens`, () => {
      const ring = new KeyRing([{ algorithm, key: KEY }]);
      const envelope = printed(`${name}(key, "j\\u00f6rg:p\\u00e4ss:w\\u00f6rd", "mail/\\u00e9/1")`);
      assert.equal(open(ring, envelope, "mail/é/1"), "jörg:päss:wörd");
      assert.equal(open(ring, envelope, "mail/é/2"), null);
    });

    it(`${name} makes the test vector of the document`, () => {
      const envelope = printed(
        `[setattr(os, "urandom", lambda n: bytes(range(32, 32 + n))), ${name}(key, "alice:secret", "session-1")][1]`,
      );
      assert.ok(document.includes(`\`${envelope}\``), envelope);
    });
  }
});
