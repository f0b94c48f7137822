// What is issued, as those see it who must trust it: OpenSSL in its strictest mode, and node:tls.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import tls from "node:tls";
import { promisify } from "node:util";
import fc from "fast-check";
import { TestFolder } from "../../../test/support/folder.ts";
import { needs } from "../../../test/support/requirements.ts";
import { Authority, AuthorityError, BACKDATED_MS, LEAF_LIFE_MS, type Leaf } from "./authority.ts";
import { leafNameOf } from "./leaf-names.ts";
import { makeAuthority, type NewAuthority } from "./new-authority.ts";

const run = promisify(execFile);
const DAY_MS = 86_400_000;

interface Made {
  readonly cert: string;
  readonly key: string;
  readonly authority: Authority;
}

async function make(wish: Partial<NewAuthority> = {}, wallMs = Date.now()): Promise<Made> {
  const made = await makeAuthority({ name: "Test CA", lifeMs: 365 * DAY_MS, hosts: [], networks: [], ...wish }, wallMs);
  return { ...made, authority: await Authority.load(made.cert, made.key, wallMs) };
}

const issue = (authority: Authority, host: string, wallMs = Date.now()): Promise<Leaf> =>
  authority.issue(leafNameOf(host)!, wallMs);

let open: Made;
before(async () => {
  open = await make();
});

const LONG_NAME = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.example.org`;

describe("OpenSSL", { skip: needs("openssl") }, () => {
  const folder = new TestFolder();
  after(() => folder[Symbol.dispose]());

  /** What `openssl verify` says of the first certificate of a leaf, when all that is trusted is the CA. */
  async function verdict(ca: string, leaf: Leaf, host: string): Promise<string> {
    const isAddress = leafNameOf(host)!.kind === "ip";
    const files = ["-CAfile", folder.write("ca.pem", ca), folder.write("leaf.pem", leaf.cert)];
    const asked = [isAddress ? "-verify_ip" : "-verify_hostname", host];
    try {
      await run("openssl", ["verify", "-x509_strict", "-purpose", "sslserver", ...asked, ...files]);
      return "OK";
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  }

  for (const host of ["www.example.org", "localhost", "a_b.example.org", LONG_NAME, "192.0.2.1", "2001:db8::1"]) {
    test(`takes a leaf for ${host.slice(0, 40)}`, async () => {
      const leaf = await issue(open.authority, host);
      assert.equal(await verdict(open.cert, leaf, host), "OK");
      assert.match(await verdict(open.cert, leaf, host.includes(".") ? "::1" : "x.example.org"), /mismatch/);
    });
  }

  test("takes what constraints permit, and refuses everything else", async () => {
    const hosts = Array.from({ length: 40 }, (_, index) => `*.host-${index}.example`);
    const named = await make({ hosts: [...hosts, "*.example.org"] });
    const numbered = await make({ networks: ["10.0.0.0/8", "fd00::/8"] });
    const both = await make({ hosts: ["example.org"], networks: ["192.0.2.0/24"] });
    const cases: readonly (readonly [Made, string, boolean])[] = [
      [named, "example.org", true],
      [named, "a.b.example.org", true],
      [named, "www.host-39.example", true],
      [named, "badexample.org", false],
      [named, "example.com", false],
      [named, LONG_NAME.replace("org", "com"), false],
      [named, "192.0.2.1", false],
      [named, "::1", false],
      [numbered, "10.1.2.3", true],
      [numbered, "fd00::1", true],
      [numbered, "11.0.0.1", false],
      [numbered, "::1", false],
      [numbered, "example.org", false],
      [both, "www.example.org", true],
      [both, "192.0.2.7", true],
      [both, "192.0.3.7", false],
      [both, "::1", false],
    ];
    for (const [{ cert, authority }, host, isPermitted] of cases) {
      // The authority would rather not; a thief of its key would not ask.
      assert.equal(authority.permits(leafNameOf(host)!), isPermitted, host);
      const said = await verdict(cert, await issue(authority, host), host);
      if (isPermitted) assert.equal(said, "OK", host);
      else assert.match(said, /permitted subtree violation|excluded subtree violation/, host);
    }
  });

  /** A CA as others make them: `genpkey` with these arguments, and names in the oldest of encodings. */
  async function foreign(algorithm: readonly string[], extensions: string): Promise<{ cert: string; key: string }> {
    const configuration = folder.write(
      "ca.cnf",
      `[req]\nstring_mask=pkix\ndistinguished_name=dn\nprompt=no\nx509_extensions=v3\n[dn]\nC=DE\nO=Some Org\nCN=Old Root\n[v3]\n${extensions}\n`,
    );
    await run("openssl", ["genpkey", ...algorithm, "-out", folder.file("foreign.key")]);
    const files = ["-key", folder.file("foreign.key"), "-out", folder.file("foreign.pem")];
    await run("openssl", ["req", "-x509", "-new", "-config", configuration, "-days", "30", ...files]);
    return { cert: folder.read("foreign.pem"), key: folder.read("foreign.key") };
  }

  const CA = "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash";
  const RSA = (bits: number) => ["-algorithm", "RSA", "-pkeyopt", `rsa_keygen_bits:${bits}`];
  const EC = (curve: string) => ["-algorithm", "EC", "-pkeyopt", `ec_paramgen_curve:${curve}`];

  for (const [title, algorithm, extensions] of [
    ["RSA", RSA(2048), CA],
    ["P-384", EC("P-384"), CA],
    ["P-521, whose key has no name", EC("P-521"), CA.replace("=hash", "=none")],
  ] as const) {
    test(`takes leaves of a CA of others: ${title}`, async () => {
      const { cert, key } = await foreign(algorithm, extensions);
      const authority = await Authority.load(cert, key, Date.now());
      const leaf = await issue(authority, "www.example.org");
      const said = await verdict(cert, leaf, "www.example.org");
      // The strictest mode wants a key identifier of every CA.
      if (extensions === CA) assert.equal(said, "OK");
      else assert.match(said, /Missing Subject Key Identifier/);
      const own = new X509Certificate(leaf.cert);
      assert.ok(own.verify(authority.certificate.x509.publicKey));
      assert.ok(own.checkIssued(authority.certificate.x509));
    });
  }

  test("makes keys and certificates that are refused, each with its reason", async () => {
    const refused = async (given: { cert: string; key: string }, part: string, words: RegExp): Promise<void> => {
      await assert.rejects(Authority.load(given.cert, given.key, Date.now()), (error) => {
        assert.ok(error instanceof AuthorityError, String(error));
        assert.match(error.message, words);
        assert.equal(error.part, part);
        return true;
      });
    };
    await refused(await foreign(RSA(1024), CA), "key", /at least 2048 bits/);
    await refused(
      await foreign(["-algorithm", "ED25519"], CA),
      "key",
      /neither of P-256, P-384 or P-521 nor an RSA key/,
    );
    await refused(await foreign(EC("secp256k1"), CA), "key", /neither of P-256/);
    await refused(await foreign(EC("P-256"), "basicConstraints=CA:false"), "certificate", /no certificate of a CA/);
    const noSigner = CA.replace("keyCertSign", "digitalSignature");
    await refused(await foreign(EC("P-256"), noSigner), "certificate", /no certificate of a CA/);
    const good = await foreign(EC("P-256"), CA);
    const [plain, sealed] = [folder.file("foreign.key"), folder.file("sealed.key")];
    await run("openssl", ["pkey", "-aes256", "-passout", "pass:x", "-in", plain, "-out", sealed]);
    await refused({ ...good, key: folder.read("sealed.key") }, "key", /protected by a passphrase/);
  });
});

test("what is no CA that can be used is refused, each with its reason", async () => {
  const other = await make();
  const expired = await make({ lifeMs: DAY_MS }, Date.now() - 2 * DAY_MS);
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [open.cert, other.key, /^the key does not belong to the certificate of the CA$/],
    [expired.cert, expired.key, /^the CA expired on 20/],
    [open.key, open.key, /^no certificate is in this file: it holds a private key$/],
    [open.cert, open.cert, /^no private key is in this file: it holds a certificate$/],
    ["", open.key, /^no certificate is in this file: it is not a PEM file, or is not complete$/],
    [open.cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", /^the private key is damaged$/],
    [open.cert.replace(/\n[^\n]{8}/, "\nAAAAAAAA"), open.key, /^the certificate is damaged: /],
    [(await issue(open.authority, "example.org")).cert, open.key, /^this is no certificate of a CA/],
  ];
  for (const [cert, key, words] of cases) {
    await assert.rejects(Authority.load(cert, key, Date.now()), (error) => {
      assert.ok(error instanceof AuthorityError);
      assert.match(error.message, words);
      assert.ok(!error.message.includes(open.key.slice(30, 60)));
      return true;
    });
  }
});

test("damaged files are refused, and nothing worse", async () => {
  const bent = (text: string): fc.Arbitrary<string> =>
    fc
      .tuple(fc.nat(text.length - 1), fc.nat(4), fc.string({ unit: "binary-ascii", maxLength: 4 }))
      .map(([at, removed, added]) => text.slice(0, at) + added + text.slice(at + removed));
  const pair = fc.tuple(
    fc.oneof(bent(open.cert), fc.constant(open.cert)),
    fc.oneof(bent(open.key), fc.constant(open.key)),
  );
  await fc.assert(
    fc.asyncProperty(pair, async ([cert, key]) => {
      try {
        const { certificate } = await Authority.load(cert, key, Date.now());
        // What was bent was the space between the lines, or what nobody looks at before it is asked for: the signature.
        assert.ok(certificate.x509.publicKey.equals(open.authority.certificate.x509.publicKey));
      } catch (error) {
        assert.ok(error instanceof AuthorityError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});

test("a leaf is for one host, for a week, and not longer than its CA", async () => {
  const wallMs = Date.now();
  const [leaf, another] = await Promise.all([issue(open.authority, "a.example"), issue(open.authority, "a.example")]);
  const own = new X509Certificate(leaf.cert);
  assert.equal(own.subjectAltName, "DNS:a.example");
  assert.equal(own.subject, "O=Headgate interception\nCN=a.example");
  assert.deepEqual(own.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.equal(own.ca, false);
  assert.ok(Math.abs(own.validFromDate.getTime() - (wallMs - BACKDATED_MS)) < 60_000);
  assert.ok(Math.abs(own.validToDate.getTime() - (wallMs + LEAF_LIFE_MS)) < 60_000);
  assert.equal(own.validToDate.getTime(), leaf.notAfterMs);
  assert.notEqual(own.serialNumber, new X509Certificate(another!.cert).serialNumber);
  assert.ok(own.serialNumber.length > 24 && own.serialNumber.length <= 32, own.serialNumber);
  assert.notEqual(leaf.key, another!.key);

  const brief = await make({ lifeMs: DAY_MS });
  const last = await issue(brief.authority, "a.example");
  assert.equal(new X509Certificate(last.cert).validTo, brief.authority.certificate.x509.validTo);
});

test("a name of a CA stands as it was given", async () => {
  for (const name of ["CN=x, O=y", "#0500", "Größe \\ + ; <>", "a".repeat(64)]) {
    const { cert, authority } = await make({ name });
    assert.equal(new X509Certificate(cert).toLegacyObject().subject.CN, name);
    const leaf = await issue(authority, "example.org");
    assert.ok(new X509Certificate(leaf.cert).checkIssued(new X509Certificate(cert)));
  }
});

test("the end of a CA is told a month before", async () => {
  const { authority } = await make({ lifeMs: 40 * DAY_MS });
  const { certificate } = authority;
  assert.deepEqual(certificate.warningsAt(Date.now()), []);
  assert.match(certificate.warningsAt(Date.now() + 20 * DAY_MS).join(), /^the CA expires on 20\d\d-/);
  assert.match(certificate.warningsAt(Date.now() - DAY_MS).join(), /^the CA is not valid before 20\d\d-/);
});

test("node:tls takes leaves for names and addresses, and for no others", async () => {
  for (const host of ["www.example.org", "127.0.0.1", "::1"]) {
    const { cert, key } = await issue(open.authority, host);
    const server = tls.createServer({ cert, key }, (socket) => socket.end());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const connect = async (name: string): Promise<void> => {
      const { port } = server.address() as AddressInfo;
      const servername = leafNameOf(name)!.kind === "dns" ? name : "";
      const options = { port, host: "127.0.0.1", ca: open.cert, servername };
      const socket = tls.connect({ ...options, checkServerIdentity: (_, peer) => tls.checkServerIdentity(name, peer) });
      try {
        await once(socket, "secureConnect");
      } finally {
        socket.destroy();
      }
    };
    await connect(host);
    await assert.rejects(connect("192.0.2.9"), { code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    server.close();
  }
});
