// The PAC file as browsers run it: in a context of its own, with the functions that they offer to such scripts.

import assert from "node:assert/strict";
import { test } from "node:test";
import vm from "node:vm";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import { pacScript } from "./pac.ts";

const OFFERED = {
  isPlainHostName: (host: string) => !host.includes("."),
  dnsDomainIs: (host: string, domain: string) => host.endsWith(domain),
  dnsResolve: () => assert.fail("it resolves a name"),
  isInNet: () => assert.fail("it resolves a name"),
  myIpAddress: () => "192.0.2.1",
  shExpMatch: () => assert.fail("it differs between systems"),
};

function finderOf(script: string): (url: string, host: string) => unknown {
  const context = vm.createContext({ ...OFFERED });
  vm.runInContext(script, context);
  return (url, host) => vm.runInContext(`FindProxyForURL(${JSON.stringify(url)}, ${JSON.stringify(host)})`, context);
}

test("the proxy for all but plain names, loopback and the hosts that are direct", () => {
  const direct = ["intranet.example.org", "*.corp.example", "[2001:db8::1]", "192.0.2.7"];
  const find = finderOf(pacScript({ proxy: "proxy.example.org:3128", isTls: false, direct }));
  for (const host of [
    "printer",
    "localhost",
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "[::1]",
    "intranet.example.org",
    "INTRANET.example.org.",
    "a.corp.example",
    "b.a.corp.example",
    "2001:db8::1",
    "[2001:db8::1]",
    "192.0.2.7",
  ]) {
    assert.equal(find(`http://${host}/`, host), "DIRECT", host);
  }
  for (const host of [
    "example.org",
    "www.intranet.example.org",
    "corp.example",
    "xcorp.example",
    "a.corp.example.net",
    "127.0.0.1.example.org",
    "2001:db8::2",
    "192.0.2.70",
  ]) {
    assert.equal(find(`http://${host}/`, host), "PROXY proxy.example.org:3128", host);
  }
});

test("over TLS it says HTTPS, and without direct hosts it is valid", () => {
  const find = finderOf(pacScript({ proxy: "[::1]:3128", isTls: true, direct: [] }));
  assert.equal(find("https://example.org/", "example.org"), "HTTPS [::1]:3128");
});

test("whatever is written into it stays text", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.array(fc.string({ unit: "binary" })), (proxy, direct) => {
      const script = pacScript({ proxy, isTls: false, direct: direct.map((host) => `x${host}`) });
      const context = vm.createContext({});
      vm.runInContext(script, context);
      assert.deepEqual(Object.keys(context), ["FindProxyForURL"]);
      assert.equal(vm.runInContext('FindProxyForURL("", "a.b")', context), `PROXY ${proxy}`);
    }),
    { seed, numRuns: 200, examples: [['"; }\u2028</script>', ['"];evil()//', "\\"]]] },
  );
});
