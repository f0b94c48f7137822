/** Facts of certificates whose names were made to be read as other names. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, it } from "node:test";
import { issueCertificate } from "../../../test/support/certificates.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { factsOf } from "./tls-info.ts";

const factsFor = (...names: string[]) => factsOf(new X509Certificate(issueCertificate({ names }).cert), null);

describe("names of a certificate", () => {
  it("are told with their kind, in lower case", () => {
    const { alternativeNames, isVerified, refusal } = factsFor("Client.Example", "192.0.2.1", "*.b.example");
    assert.deepEqual(alternativeNames, ["dns:client.example", "ip:192.0.2.1", "dns:*.b.example"]);
    assert.deepEqual([isVerified, refusal], [true, null]);
  });

  const alternatives: readonly string[] = [
    "a.example, DNS:admin.example",
    'a", DNS:admin.example, DNS:"b',
    "a\\, dns:admin",
    "a.example\0.admin.example",
    "a\nDNS:admin.example",
    "a'b",
    "x, IP Address:10.0.0.1",
  ];
  for (const name of alternatives) {
    it(`an alternative name is one name: ${JSON.stringify(name)}`, () => {
      assert.deepEqual(factsFor("first.example", name).alternativeNames, [
        "dns:first.example",
        `dns:${name.toLowerCase()}`,
      ]);
    });
  }

  it("an alternative name is one name, whatever it is made of", () => {
    const random = new SeededRandom(seed);
    const pieces = [
      "a",
      ",",
      ", ",
      '"',
      "\\",
      "DNS:",
      "IP Address:",
      "'",
      "\n",
      "\0",
      "\x7f",
      " ",
      ".",
      "\\u002c",
      "\t",
    ];
    for (let round = 0; round < 40; round++) {
      let name = "x";
      while (random.next() < 0.85) name += pieces[Math.floor(random.next() * pieces.length)];
      assert.deepEqual(
        factsFor("first.example", name, "last.example").alternativeNames,
        ["dns:first.example", `dns:${name.toLowerCase()}`, "dns:last.example"],
        `${JSON.stringify(name)} ${replayHint}`,
      );
    }
  });

  const subjects: readonly (readonly [commonName: string, subject: string])[] = [
    ["alice", "CN=alice"],
    ["alice,O=Admin", "CN=alice\\,O=Admin"],
    ["alice\nO=Admin", "CN=alice\\0AO=Admin"],
    ["alice\r\nX-User: root", "CN=alice\\0D\\0AX-User: root"],
    ["alice + CN=admin", "CN=alice \\+ CN\\=admin".replace("\\=", "=")],
    ["a\\,b", "CN=a\\\\\\,b"],
    ["J\u00f6rg", "CN=J\u00f6rg"],
    ["a\0b", "CN=a\\00b"],
  ];
  for (const [commonName, subject] of subjects) {
    it(`a subject is one name: ${JSON.stringify(commonName)}`, () => {
      const facts = factsFor(commonName);
      assert.equal(facts.subject, subject);
      assert.equal(facts.issuer, subject);
    });
  }
});
