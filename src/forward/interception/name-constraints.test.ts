// Constraints as they are made of hosts and networks, written, read, and asked. That OpenSSL reads them in the same way is
// shown with whole certificates, in issued-certificates.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { leafNameOf } from "./leaf-names.ts";
import {
  constraintsFor,
  decodeConstraints,
  describeConstraints,
  encodeConstraints,
  type NameConstraints,
  permits,
  permitsPattern,
} from "./name-constraints.ts";

const permitsHost = (constraints: NameConstraints, host: string): boolean => permits(constraints, leafNameOf(host)!);

test("hosts permit themselves and all below, and then no addresses", () => {
  const constraints = constraintsFor(["*.example.org", "example.net", "deep.example.net"], []);
  assert.equal(describeConstraints(constraints), "only example.org and below, example.net and below");
  for (const host of ["example.org", "a.example.org", "b.a.example.org", "example.net", "x.deep.example.net"]) {
    assert.ok(permitsHost(constraints, host), host);
  }
  for (const host of ["org", "badexample.org", "example.org.evil", "example.com", "192.0.2.1", "::1"]) {
    assert.ok(!permitsHost(constraints, host), host);
  }
});

test("networks permit their addresses, and then no hosts", () => {
  const constraints = constraintsFor([], ["10.0.0.0/8", "fd00::/8"]);
  assert.equal(describeConstraints(constraints), "only 10.0.0.0/8, fd00::/8");
  for (const host of ["10.1.2.3", "fd00::1"]) assert.ok(permitsHost(constraints, host), host);
  for (const host of ["11.0.0.1", "::1", "fe80::1", "example.org"]) assert.ok(!permitsHost(constraints, host), host);
});

test("patterns of a configuration", () => {
  const constraints = constraintsFor(["*.example.org"], ["10.0.0.0/8"]);
  for (const pattern of ["*.example.org", "example.org", "*.a.example.org", "10.0.0.1"]) {
    assert.ok(permitsPattern(constraints, pattern), pattern);
  }
  for (const pattern of ["*.org", "*.example.com", "[::1]", "11.0.0.1", "*", "*.*"]) {
    assert.ok(!permitsPattern(constraints, pattern), pattern);
  }
});

test("constraints that others have written", () => {
  const below: NameConstraints = { permitted: [{ kind: "dns", value: ".Example.org" }], excluded: [] };
  assert.ok(permitsHost(below, "a.example.org"));
  assert.ok(!permitsHost(below, "example.org"));
  assert.equal(describeConstraints(below), "only *.Example.org");
  const but: NameConstraints = { permitted: [], excluded: [{ kind: "dns", value: "bank.example" }] };
  assert.ok(permitsHost(but, "example.org") && permitsHost(but, "192.0.2.1") && !permitsHost(but, "www.bank.example"));
  assert.equal(describeConstraints(but), "not bank.example and below");
  const noAddresses: NameConstraints = { permitted: [], excluded: constraintsFor(["a.example"], []).excluded };
  assert.ok(permitsHost(noAddresses, "example.org") && !permitsHost(noAddresses, "192.0.2.1"));
  assert.equal(describeConstraints(noAddresses), "not 0.0.0.0/0, ::/0");
  const mixed: NameConstraints = { ...constraintsFor(["example.org"], []), excluded: but.excluded };
  assert.equal(describeConstraints(mixed), "only example.org and below; not bank.example and below");
  const gaps: NameConstraints = { permitted: [{ kind: "ip", value: "10.0.0.0/255.0.255.0" }], excluded: [] };
  assert.ok(!permitsHost(gaps, "10.0.0.1"));
  // [1] rfc822Name: a kind that no leaf has.
  const mail = Buffer.from("300fa00d300b81096e65742e6c6f63616c", "hex");
  assert.deepEqual(decodeConstraints(mail).permitted, [{ kind: "other", value: "names that are no hosts" }]);
  assert.ok(permitsHost(decodeConstraints(mail), "example.org"));
});

const networks = fc.subarray(["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "2001:db8::/33", "0.0.0.0/0"]);

test("what was written reads as it was, whatever its length", () => {
  fc.assert(
    fc.property(fc.array(fc.domain(), { maxLength: 40 }), networks, (hosts, ranges) => {
      const constraints = constraintsFor(hosts, ranges);
      assert.deepEqual(decodeConstraints(encodeConstraints(constraints)), constraints);
    }),
    { numRuns: 50 },
  );
});

test("damaged constraints are refused, and nothing worse", () => {
  const good = encodeConstraints(constraintsFor(["example.org"], ["10.0.0.0/8"]));
  for (let length = 1; length < good.length; length++) {
    assert.throws(() => decodeConstraints(good.subarray(0, length)), RangeError, `${length}`);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(good.length - 1), fc.nat(255), (noise, at, byte) => {
      const bent = Buffer.from(good);
      bent[at] = byte;
      for (const bytes of [bent, noise]) {
        let read: NameConstraints;
        try {
          read = decodeConstraints(bytes);
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof TypeError), String(error));
          continue;
        }
        // Whatever they say now, they can be asked and shown.
        for (const host of ["example.org", "10.0.0.1"]) assert.equal(typeof permitsHost(read, host), "boolean");
        assert.notEqual(describeConstraints(read), "");
      }
    }),
    { numRuns: 500 },
  );
});
