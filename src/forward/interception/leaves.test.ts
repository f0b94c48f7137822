// One leaf for all who ask: from memory, from the store, made anew; and never one that the CA would not issue now.

import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import tls from "node:tls";
import fc from "fast-check";
import { ProxyError } from "../../core/errors.ts";
import type { Clock, LeafStore } from "../../core/ports.ts";
import { Authority, BACKDATED_MS, LEAF_LIFE_MS, type Leaf } from "./authority.ts";
import type { LeafName } from "./leaf-names.ts";
import { LEAVES_MAX, LeafCertificates, type LeafIssuer } from "./leaves.ts";
import { makeAuthority } from "./new-authority.ts";

const DAY_MS = 86_400_000;
const START_MS = Date.UTC(2030, 0, 1);

class WallClock implements Clock {
  ms = START_MS;
  now(): number {
    return this.ms;
  }
  wallMs(): number {
    return this.ms;
  }
  after(): never {
    throw new Error("nothing here waits for a time");
  }
}

class MemoryStore implements LeafStore {
  readonly texts = new Map<string, string>();
  reads = 0;
  failure: Error | null = null;
  async read(host: string): Promise<string | null> {
    this.reads++;
    return this.texts.get(host) ?? null;
  }
  async write(host: string, pem: string): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.texts.set(host, pem);
  }
}

async function makeIssuer(lifeMs = 365 * DAY_MS, hosts: readonly string[] = []): Promise<CountingIssuer> {
  const { cert, key } = await makeAuthority({ name: "Test CA", lifeMs, hosts, networks: [] }, START_MS);
  return new CountingIssuer(await Authority.load(cert, key, START_MS));
}

/** Counts what is issued. */
class CountingIssuer implements LeafIssuer {
  readonly authority: Authority;
  issued = 0;
  constructor(authority: Authority) {
    this.authority = authority;
  }
  get certificate() {
    return this.authority.certificate;
  }
  permits(name: LeafName): boolean {
    return this.authority.permits(name);
  }
  issue(name: LeafName, wallMs: number): Promise<Leaf> {
    this.issued++;
    return this.authority.issue(name, wallMs);
  }
}

const shared = await makeIssuer();

class Stage {
  readonly clock = new WallClock();
  readonly store = new MemoryStore();
  readonly told: string[] = [];
  readonly issuer: CountingIssuer;
  leaves: LeafCertificates;

  constructor(issuer: CountingIssuer = new CountingIssuer(shared.authority)) {
    this.issuer = issuer;
    this.leaves = this.restarted();
  }

  /** Another run, or another thread: nothing in memory, the same store. */
  restarted(issuer: LeafIssuer = this.issuer): LeafCertificates {
    const tell = (message: string) => this.told.push(message);
    this.leaves = new LeafCertificates(issuer, { store: this.store, clock: this.clock, tell });
    return this.leaves;
  }
}

describe("in memory", () => {
  test("who asks at the same time gets the same leaf, made once", async () => {
    const { leaves, issuer, store } = new Stage();
    assert.equal(leaves.peek("www.example.org"), null);
    const spellings = ["www.example.org", "WWW.example.org", "www.example.org.", "www.example.org"];
    const [first, ...others] = await Promise.all(spellings.map((host) => leaves.leafFor(host)));
    for (const other of others) assert.equal(other, first);
    assert.equal(leaves.peek("www.example.org"), first);
    assert.equal(await leaves.leafFor("www.example.org"), first);
    assert.deepEqual([issuer.issued, store.reads], [1, 1]);
  });

  test("an address is known with and without brackets", async () => {
    const { leaves, issuer } = new Stage();
    const leaf = await leaves.leafFor("[2001:db8::1]");
    assert.equal(await leaves.leafFor("2001:DB8::1"), leaf);
    assert.equal(leaves.peek("2001:db8::1"), leaf);
    assert.equal(issuer.issued, 1);
  });

  test("before a leaf ends there is another one", async () => {
    const { leaves, clock, issuer } = new Stage();
    const leaf = await leaves.leafFor("a.example");
    clock.ms = START_MS + 0.75 * LEAF_LIFE_MS - 1;
    assert.equal(leaves.peek("a.example"), leaf);
    clock.ms += 1;
    assert.equal(leaves.peek("a.example"), null);
    const next = await leaves.leafFor("a.example");
    assert.equal(next.notAfterMs, clock.ms + LEAF_LIFE_MS);
    assert.equal(issuer.issued, 2);
  });

  test("the last leaf of a CA serves to its end, and then none does", async () => {
    const { leaves, clock, issuer } = new Stage(await makeIssuer(DAY_MS));
    const leaf = await leaves.leafFor("a.example");
    clock.ms = START_MS + DAY_MS - 1;
    assert.equal(leaves.peek("a.example"), leaf);
    clock.ms += 1;
    assert.equal(leaves.peek("a.example"), null);
    await assert.rejects(leaves.leafFor("a.example"), (error) => {
      assert.ok(error instanceof ProxyError);
      assert.deepEqual(
        [error.type, error.message],
        ["proxy_configuration_error", "the CA of interception has expired"],
      );
      return true;
    });
    assert.equal(issuer.issued, 1);
  });

  test("memory is bounded, and what is asked for stays in it", async () => {
    const leaf: Leaf = { cert: "", key: "", notAfterMs: START_MS + LEAF_LIFE_MS };
    const { authority } = shared;
    const issuer: LeafIssuer = { certificate: authority.certificate, permits: () => true, issue: async () => leaf };
    const { clock } = new Stage();
    const leaves = new LeafCertificates(issuer, { store: null, clock, tell: assert.fail });
    const hosts = Array.from({ length: 3 * LEAVES_MAX }, (_, index) => `host-${index}.example`);
    for (const host of hosts) {
      await leaves.leafFor(host);
      assert.equal(leaves.peek("host-0.example"), leaf, host);
    }
    assert.equal(leaves.peek("host-1.example"), null);
    assert.equal(leaves.peek(hosts.at(-1)!), leaf);
    assert.ok(hosts.filter((host) => leaves.peek(host) !== null).length <= 2 * LEAVES_MAX);
  });
});

describe("refusals", () => {
  test("what is no name of a host, and what the CA may not certify", async () => {
    const { leaves, issuer, store } = new Stage(await makeIssuer(DAY_MS, ["example.org"]));
    for (const [host, type, words] of [
      [
        "*.example.org",
        "http_request_error",
        /no certificate can be made for "\*\.example\.org": it is no name of a host/,
      ],
      [`${"x".repeat(5_000)}`, "http_request_error", /^.{0,200}$/],
      ["example.com", "proxy_configuration_error", /^the CA of interception may not certify example\.com$/],
      ["192.0.2.1", "proxy_configuration_error", /may not certify 192\.0\.2\.1$/],
    ] as const) {
      await assert.rejects(leaves.leafFor(host), (error) => {
        assert.ok(error instanceof ProxyError);
        assert.equal(error.type, type);
        assert.match(error.message, words);
        return true;
      });
    }
    assert.deepEqual([issuer.issued, store.reads], [0, 0]);
    await leaves.leafFor("www.example.org");
    assert.equal(issuer.issued, 1);
  });

  test("what failed once is tried again", async () => {
    const { clock } = new Stage();
    let attempts = 0;
    const { authority } = shared;
    const issuer: LeafIssuer = {
      certificate: authority.certificate,
      permits: () => true,
      async issue(name, wallMs) {
        if (attempts++ === 0) throw new Error("no entropy");
        return authority.issue(name, wallMs);
      },
    };
    const leaves = new LeafCertificates(issuer, { store: null, clock, tell: assert.fail });
    const both = await Promise.allSettled([leaves.leafFor("a.example"), leaves.leafFor("a.example")]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ["rejected", "rejected"],
    );
    assert.ok((await leaves.leafFor("a.example")).cert);
    assert.equal(attempts, 2);
  });
});

describe("the store", () => {
  test("another run, or another thread, serves the same leaf", async () => {
    const stage = new Stage();
    const hosts = ["www.example.org", "a_b.example.org", "localhost", "192.0.2.1", "2001:db8::1"];
    const before = await Promise.all(hosts.map((host) => stage.leaves.leafFor(host)));
    stage.restarted();
    const behind = await Promise.all(hosts.map((host) => stage.leaves.leafFor(host)));
    assert.deepEqual(behind, before);
    assert.equal(stage.issuer.issued, hosts.length);
  });

  test("what is damaged, of others, or over is replaced", async () => {
    const stage = new Stage();
    const { store, issuer, clock } = stage;
    const good = await stage.leaves.leafFor("a.example");
    await stage.leaves.leafFor("b.example");
    const [own, ofAnotherHost] = [store.texts.get("a.example")!, store.texts.get("b.example")!];
    const other = await makeIssuer();
    const foreign = await other.issue({ kind: "dns", text: "a.example" }, START_MS);
    const later = await issuer.authority.issue({ kind: "dns", text: "a.example" }, START_MS + BACKDATED_MS + DAY_MS);
    const old = await issuer.authority.issue({ kind: "dns", text: "a.example" }, START_MS - 0.76 * LEAF_LIFE_MS);
    const { chain } = issuer.authority.certificate;
    const bad: Readonly<Record<string, string>> = {
      empty: "",
      noise: "\0\xff".repeat(100),
      "cut in the key": own.slice(0, -60),
      "cut in the certificate": own.slice(0, 200),
      "one bit of the signature": bent(own),
      "the key of another leaf": good.cert + ofAnotherHost.slice(ofAnotherHost.indexOf("-----BEGIN PRIVATE KEY-----")),
      "another host": ofAnotherHost,
      "another CA": foreign.cert + foreign.key,
      "another CA's leaf with our chain": foreign.cert.replace(other.authority.certificate.chain, chain) + foreign.key,
      "without its chain": own.replace(chain, ""),
      "not valid yet": later.cert + later.key,
      "soon over": old.cert + old.key,
    };
    for (const [what, text] of Object.entries(bad)) {
      store.texts.set("a.example", text);
      const before = issuer.issued;
      const leaf = await stage.restarted().leafFor("a.example");
      assert.equal(issuer.issued, before + 1, what);
      assert.equal(leaf.notAfterMs, clock.ms + LEAF_LIFE_MS);
      assert.equal(store.texts.get("a.example"), leaf.cert + leaf.key, what);
    }
    store.texts.set("a.example", own);
    const before = issuer.issued;
    assert.deepEqual(await stage.restarted().leafFor("a.example"), good);
    assert.equal(issuer.issued, before);
  });

  test("whatever becomes of a file, what is served is a leaf of the CA for the host with its key", async () => {
    const stage = new Stage();
    await stage.leaves.leafFor("a.example");
    const own = stage.store.texts.get("a.example")!;
    const change = fc.tuple(fc.nat(own.length - 1), fc.nat(3), fc.string({ unit: "binary-ascii", maxLength: 3 }));
    await fc.assert(
      fc.asyncProperty(change, async ([at, removed, added]) => {
        stage.store.texts.set("a.example", own.slice(0, at) + added + own.slice(at + removed));
        const { cert, key } = await stage.restarted().leafFor("a.example");
        const certificate = new X509Certificate(cert);
        assert.ok(certificate.verify(stage.issuer.certificate.x509.publicKey));
        assert.equal(certificate.subjectAltName, "DNS:a.example");
        assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
        tls.createSecureContext({ cert, key });
      }),
      { numRuns: 100 },
    );
  });

  test("a store that cannot be written to is told of once, and again when it had worked", async () => {
    const { leaves, store, told } = new Stage();
    store.failure = new Error("ENOSPC: no space left on device");
    await leaves.leafFor("a.example");
    await leaves.leafFor("b.example");
    const words = "certificates of intercepted hosts cannot be kept: ENOSPC: no space left on device";
    assert.deepEqual(told, [words]);
    store.failure = null;
    await leaves.leafFor("c.example");
    store.failure = new Error("ENOSPC: no space left on device");
    await leaves.leafFor("d.example");
    assert.deepEqual(told, [words, words]);
  });
});

/** The last byte of the leaf's signature is another one. */
function bent(pem: string): string {
  const [block = ""] = /-----BEGIN CERTIFICATE-----[^-]+/.exec(pem) ?? [];
  const der = Buffer.from(block.split("\n").slice(1).join(""), "base64");
  der[der.length - 1]! ^= 1;
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return pem.replace(block, ["-----BEGIN CERTIFICATE-----", ...lines, ""].join("\n"));
}
