import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange } from "../../../test/support/stand-in-exchange.ts";
import type { PeerCertificate, TlsInfo } from "../../core/ports.ts";
import { VirtualClock } from "../../testing/virtual-clock.ts";
import { createClientCertificateFeature } from "./index.ts";
import { clientCertificateOptions } from "./options.ts";

const PRINT = "0123456789abcdef".repeat(4);

const ALICE: PeerCertificate = {
  isVerified: true,
  refusal: null,
  subject: "CN=alice,O=Example\\, Inc.",
  issuer: "CN=Test Authority",
  alternativeNames: ["dns:alice.example", "email:alice@example.org", 'uri:https://a/?x=1,2&"y"'],
  serialNumber: "01ab",
  fingerprint: PRINT,
  notAfterMs: 1_800_000_000_000,
  bytes: Buffer.from("certificate"),
};

function stage(options: unknown = {}) {
  const clock = new VirtualClock();
  const feature = createClientCertificateFeature(clientCertificateOptions.parse(options), { clock });
  const ask = (peerCertificate: PeerCertificate | null, fields: readonly Line[] = []) => {
    const tls: TlsInfo = {
      protocol: "TLSv1.3",
      cipher: "x",
      serverName: null,
      alpn: null,
      resumed: false,
      peerCertificate,
    };
    const exchange = new StandInExchange({ fields, tls });
    feature.request!(exchange);
    const error = exchange.errors[0] ?? null;
    return { exchange, error, outcome: error === null ? exchange.identity?.subject : error.reason };
  };
  return { feature, ask, clock };
}

describe("clientCertificate", () => {
  it("lets a verified certificate pass, and tells the upstream what it was told to tell", () => {
    const headers = {
      "x-client-subject": "subject",
      "x-client-issuer": "issuer",
      "x-client-san": "san",
      "x-client-serial": "serial",
      "x-client-fingerprint": "fingerprint",
      "client-cert": "certificate",
    };
    const { ask } = stage({ headers });
    const forged = Object.keys(headers).map((name) => [name.toUpperCase().replaceAll("-", "_"), "root"] as const);
    for (const round of [1, 2]) {
      const { exchange, outcome } = ask(ALICE, forged);
      assert.equal(outcome, ALICE.subject, `round ${round}`);
      const qualifier = [ALICE.issuer, ...ALICE.alternativeNames].join("\n");
      assert.deepEqual(exchange.identity, { subject: ALICE.subject, by: "clientCertificate", qualifier });
      assert.deepEqual(exchange.requestLines, [
        ["x-client-subject", "CN=alice,O=Example\\, Inc."],
        ["x-client-issuer", "CN=Test Authority"],
        ["x-client-san", "dns:alice.example, email:alice@example.org, uri:https://a/?x=1%2C2&%22y%22"],
        ["x-client-serial", "01ab"],
        ["x-client-fingerprint", PRINT],
        ["client-cert", `:${ALICE.bytes.toString("base64")}:`],
      ]);
    }
  });

  it("tells apart certificates that have one subject, or none", () => {
    const { ask } = stage();
    for (const subject of ["", "C=US,O=SPIRE"]) {
      const names = ["uri:spiffe://example.org/a", "uri:spiffe://example.org/b"];
      const [one, other] = names.map((name) => ask({ ...ALICE, subject, alternativeNames: [name] }).exchange.identity);
      assert.notDeepEqual(one, other);
    }
  });

  it("refuses who shows none, on plain connections too", () => {
    const { ask, feature } = stage({ headers: { "x-client": "subject" } });
    const { error, exchange } = ask(null, [["X-Client", "root"]]);
    assert.deepEqual([error?.status, error?.reason, error?.fields], [403, "certificate_missing", []]);
    assert.deepEqual([exchange.requestLines, exchange.identity], [[], null]);
    const plain = new StandInExchange();
    feature.request!(plain);
    assert.equal(plain.errors[0]?.reason, "certificate_missing");
  });

  it("refuses one that is not verified, and says why to the log alone", () => {
    const { error } = stage().ask({ ...ALICE, isVerified: false, refusal: "CERT_HAS_EXPIRED" });
    assert.deepEqual([error?.status, error?.reason, error?.cause], [403, "certificate_refused", "CERT_HAS_EXPIRED"]);
  });

  it("refuses one that has expired since the connection began", () => {
    const { ask, clock } = stage();
    const short = { ...ALICE, notAfterMs: clock.wallMs() + 1000 };
    assert.equal(ask(short).error, null);
    clock.advance(1000);
    assert.equal(ask(short).outcome, "certificate_refused");
  });

  const lists: readonly (readonly [options: unknown, passes: boolean])[] = [
    [{ subjects: ALICE.subject }, true],
    [{ subjects: ["CN=bob", ALICE.subject] }, true],
    [{ subjects: "CN=alice" }, false],
    [{ subjects: "cn=alice" }, false],
    [{ sans: "dns:alice.example" }, true],
    [{ sans: ["dns:ALICE.example"] }, true],
    [{ sans: ["email:alice.example", "uri:alice.example"] }, false],
    [{ sans: "dns:example" }, false],
    [{ fingerprints: PRINT }, true],
    [{ fingerprints: PRINT.toUpperCase().replace(/..(?!$)/g, "$&:") }, true],
    [{ fingerprints: PRINT.replace("0", "1") }, false],
    [{ subjects: ALICE.subject, sans: "dns:alice.example" }, true],
    [{ subjects: ALICE.subject, sans: "dns:bob.example" }, false],
  ];
  for (const [options, passes] of lists) {
    it(`${JSON.stringify(options)} ${passes ? "lets her pass" : "does not"}`, () => {
      const { error, outcome } = stage(options).ask(ALICE);
      assert.equal(outcome, passes ? ALICE.subject : "not_allowed");
      if (!passes) assert.equal(error?.status, 403);
    });
  }

  it("takes subjects beyond ASCII as they are, and as openssl prints them", () => {
    for (const subjects of ["CN=J\u00f6rg,O=a\\, b", "CN=J\\C3\\B6rg,O=a\\, b", "CN=J\\c3\\b6rg,O=a\\, b"]) {
      const { outcome } = stage({ subjects }).ask({ ...ALICE, subject: "CN=J\u00f6rg,O=a\\, b" });
      assert.equal(outcome, "CN=J\u00f6rg,O=a\\, b");
    }
  });

  it("makes every text safe for a field", () => {
    const { ask } = stage({ headers: { "x-subject": "subject", "x-san": "san" } });
    const nasty = "CN=J\u00f6rg \u{1f600}\r\nX-Admin: 1\0";
    const { exchange } = ask({ ...ALICE, subject: nasty, alternativeNames: [`uri:${nasty}`, "uri:\u00e9 b"] });
    assert.deepEqual(exchange.requestLines, [
      ["x-subject", "CN=J\\C3\\B6rg \\F0\\9F\\98\\80\\0D\\0AX-Admin: 1\\00"],
      ["x-san", "uri:CN=J%C3%B6rg%20%F0%9F%98%80%0D%0AX-Admin:%201%00, uri:%C3%A9%20b"],
    ]);
  });

  it("refuses lists that name nothing", () => {
    for (const options of [{ sans: "alice.example" }, { sans: [] }, { subjects: "alice" }, { fingerprints: "ab" }]) {
      assert.equal(clientCertificateOptions.safeParse(options).success, false, JSON.stringify(options));
    }
  });
});
