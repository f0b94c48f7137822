// Certificate files: what is accepted, what is refused and why, and what is a warning.

import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { Authority, issueCertificate } from "../../../test/support/certificates.ts";
import { loadAuthorities, loadCertificate, PemError } from "./pem.ts";

const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-pem-"));
after(() => rmSync(folder, { recursive: true }));
const now = Date.now();
const DAY_MS = 86_400_000;

function file(name: string, content: string): string {
  const where = path.join(folder, name);
  writeFileSync(where, content);
  return where;
}

const authority = new Authority();
const good = issueCertificate({ names: ["a.example"], issuer: authority });
const goodCert = file("good.pem", good.cert);
const goodKey = file("good.key", good.key);

test("a chain and its key", async () => {
  const chain = file("chain.pem", `${good.cert}${authority.cert}`);
  const loaded = await loadCertificate(chain, goodKey);
  assert.equal(loaded.cert, good.cert + authority.cert);
  assert.equal(loaded.key, good.key);
  assert.deepEqual(loaded.warningsAt(now), []);
  assert.ok(loaded.notAfter.getTime() > now);
});

test("one file for both", async () => {
  const both = file("both.pem", good.key + good.cert);
  assert.deepEqual((await loadCertificate(both, both)).warningsAt(now), []);
});

test("certificates that are over, not yet good, about to end, or without names: warnings", async () => {
  const cases: [object, RegExp | null][] = [
    [{ notAfter: new Date(now - DAY_MS / 2) }, /: the certificate expired on \d{4}-\d\d-\d\dT/],
    [{ notBefore: new Date(now + DAY_MS) }, /: the certificate is not valid before \d{4}-/],
    [{ notAfter: new Date(now + 6 * DAY_MS) }, /: the certificate expires on \d{4}-/],
    [{ notAfter: new Date(now + 8 * DAY_MS) }, null],
  ];
  for (const [index, [options, warning]] of cases.entries()) {
    const { cert, key } = issueCertificate({ names: ["a.example"], ...options });
    const where = file(`warned-${index}.pem`, cert);
    const warnings = (await loadCertificate(where, file(`warned-${index}.key`, key))).warningsAt(now);
    if (warning === null) assert.deepEqual(warnings, []);
    else assert.match(warnings.join("\n"), warning);
    for (const sentence of warnings) assert.ok(sentence.startsWith(where));
  }
});

test("files that cannot be used: the file and the reason", async () => {
  const pkcs8 = createPrivateKey(good.key);
  const encrypted = pkcs8.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }) as string;
  const other = issueCertificate({ names: ["b.example"] });
  const missing = path.join(folder, "missing.pem");
  const cases: [cert: string, key: string, path: string, message: string | RegExp][] = [
    [missing, goodKey, missing, "cannot be read: there is no such file"],
    [goodCert, folder, folder, "cannot be read: this is a folder, not a file"],
    [goodKey, goodKey, goodKey, "no certificate is in this file: it holds a private key"],
    [goodCert, goodCert, goodCert, "no private key is in this file: it holds a certificate"],
    [
      file("text.pem", "hello"),
      goodKey,
      path.join(folder, "text.pem"),
      "no certificate is in this file: it is not a PEM file, or is not complete",
    ],
    [file("half.pem", good.cert.slice(0, 200)), goodKey, path.join(folder, "half.pem"), /not complete$/],
    [
      file("damaged.pem", good.cert.replace(/\n.{10}/, "\nAAAAAAAAAA")),
      goodKey,
      path.join(folder, "damaged.pem"),
      /^certificate 1 of the file is damaged: /,
    ],
    [
      file("second.pem", good.cert + good.cert.replace(/\n.{10}/, "\nAAAAAAAAAA")),
      goodKey,
      path.join(folder, "second.pem"),
      /^certificate 2 of the file is damaged: /,
    ],
    [
      goodCert,
      file("damaged.key", good.key.replace(/\n.{10}/, "\nAAAAAAAAAA")),
      path.join(folder, "damaged.key"),
      /^the private key is damaged: /,
    ],
    [
      goodCert,
      file("locked.key", encrypted),
      path.join(folder, "locked.key"),
      "the key is protected by a passphrase; store it without one",
    ],
    [
      goodCert,
      file("other.key", other.key),
      path.join(folder, "other.key"),
      `the key does not belong to the certificate in ${goodCert}`,
    ],
  ];
  for (const [cert, key, where, message] of cases) {
    await assert.rejects(loadCertificate(cert, key), (error) => {
      assert.ok(error instanceof PemError);
      assert.equal(error.path, where);
      assert.ok(error.message.startsWith(`${where}: `), error.message);
      const words = error.message.slice(where.length + 2);
      if (typeof message === "string") assert.equal(words, message);
      else assert.match(words, message);
      assert.doesNotMatch(error.message, /BEGIN|MII/, "nothing of the content");
      return true;
    });
  }
});

test("a file that we may not read", {
  skip: process.getuid?.() === 0 && "skipped: root may read everything",
}, async () => {
  const { chmodSync } = await import("node:fs");
  const locked = file("unreadable.pem", good.cert);
  chmodSync(locked, 0);
  await assert.rejects(loadCertificate(locked, goodKey), { message: /cannot be read: permission denied/ });
});

test("authorities: one or several, never none", async () => {
  const text = authority.cert + new Authority("Second").cert;
  assert.equal(await loadAuthorities(file("ca.pem", text)), text);
  await assert.rejects(loadAuthorities(file("no-ca.pem", "")), {
    message: /no-ca\.pem: no certificate is in this file/,
  });
});
