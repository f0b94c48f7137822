import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Config } from "./config.ts";
import { diffConfig } from "./diff.ts";
import { parseConfig, parseConfigObject } from "./parse.ts";

function configOf(text: string): Config {
  const result = parseConfig(text, { file: "headgate.yaml" });
  assert.ok(result.ok, JSON.stringify(result));
  return result.config;
}

const BASE = `
upstreams:
  app: { servers: ["http://a:1"] }
servers:
  web: { listen: [":80", { address: ":443", tls: { certificates: [{ cert: a.pem, key: a.key }] } }], proxy: app }
  other: { listen: ":81", proxy: http://b:1 }
`;

describe("the difference between two configurations", () => {
  it("is none for the same file, whatever its layout", () => {
    const before = configOf(BASE);
    const after = configOf(BASE.replace('"http://a:1"', '{ weight: 1, url: "http://a:1/" }'));
    const diff = diffConfig(before, after);
    assert.equal(diff.same, true);
    assert.deepEqual(diff, {
      listeners: { added: [], removed: [], kept: [":80", ":443", ":81"], tlsChanged: [], moved: [] },
      servers: { added: [], removed: [], changed: [], unchanged: ["web", "other"] },
      upstreams: { added: [], removed: [], changed: [], unchanged: ["app", "http://b:1"] },
      stores: { added: [], removed: [], changed: [], unchanged: [] },
      caches: { added: [], removed: [], changed: [], unchanged: [] },
      admin: false,
      log: false,
      trustedProxies: false,
      via: false,
      transport: false,
      workers: false,
      same: true,
    });
  });

  it("tells sockets that stay from those that come and go", () => {
    const after = configOf(BASE.replace(":81", ":82").replace("a.pem", "b.pem"));
    const { listeners, servers, upstreams } = diffConfig(configOf(BASE), after);
    assert.deepEqual(listeners, {
      added: [":82"],
      removed: [":81"],
      kept: [":80", ":443"],
      tlsChanged: [":443"],
      moved: [],
    });
    assert.deepEqual(servers.changed, ["web", "other"]);
    assert.deepEqual(upstreams.changed, []);
  });

  it("keeps a socket that another server takes over, and one that begins to speak TLS", () => {
    const before = configOf('servers: { a: { listen: ":80", respond: 204 }, b: { listen: ":81", respond: 204 } }');
    const after = configOf(
      'servers: { c: { listen: ":80", respond: 204 }, b: { listen: { address: ":81", tls: { certificates: [{ cert: a, key: b }] } }, respond: 204 } }',
    );
    const { listeners, servers } = diffConfig(before, after);
    assert.deepEqual(listeners, { added: [], removed: [], kept: [":80", ":81"], tlsChanged: [":81"], moved: [":80"] });
    assert.deepEqual(servers, { added: ["c"], removed: ["a"], changed: ["b"], unchanged: [] });
  });

  it("leaves the pool alone when only the use of it changes", () => {
    const { upstreams, servers } = diffConfig(
      configOf(BASE),
      configOf(BASE.replace("proxy: app", "proxy: { to: app, retries: 0 }")),
    );
    assert.deepEqual([upstreams.changed, upstreams.unchanged, servers.changed], [[], ["app", "http://b:1"], ["web"]]);
  });

  it("names pools that have to be made anew", () => {
    const { upstreams } = diffConfig(
      configOf(BASE),
      configOf(BASE.replace('["http://a:1"]', '["http://a:1"], maxConnections: 3')),
    );
    assert.deepEqual([upstreams.changed, upstreams.unchanged], [["app"], ["http://b:1"]]);
  });

  it("sees what servers inherit", () => {
    const { servers } = diffConfig(configOf(BASE), configOf(`${BASE}limits: { idle: 3s }\n`));
    assert.deepEqual(servers.changed, ["web", "other"]);
  });

  it("names what is the file's own", () => {
    const diff = diffConfig(
      configOf(BASE),
      configOf(`${BASE}log: { level: debug }\nvia: edge\ntransport: net\ntrustedProxies: [::1]\n`),
    );
    assert.deepEqual(
      [diff.log, diff.via, diff.transport, diff.trustedProxies, diff.servers.changed],
      [true, true, true, true, []],
    );
  });

  it("knows listeners on any port by their place", () => {
    const before = configOf(
      'servers: { a: { listen: [":0", ":0"], respond: 204 }, b: { listen: ":0", respond: 204 } }',
    );
    const after = configOf('servers: { a: { listen: [":0"], respond: 204 }, b: { listen: ":0", respond: 204 } }');
    assert.deepEqual(diffConfig(before, after).listeners, {
      added: [],
      removed: [":0 (a.listen[1])"],
      kept: [":0 (a.listen[0])", ":0 (b.listen[0])"],
      tlsChanged: [],
      moved: [],
    });
  });

  it("knows code by identity", () => {
    const withCode = (plugin: object, handle: () => void) => {
      const value = { servers: { web: { listen: ":80", use: [plugin], handle } } };
      const result = parseConfigObject(value, { file: "headgate.ts" });
      assert.ok(result.ok, JSON.stringify(result));
      return result.config;
    };
    const plugin = () => ({ name: "p", request() {} });
    const handle = () => {};
    const same = plugin();
    assert.equal(diffConfig(withCode(same, handle), withCode(same, handle)).same, true);
    for (const other of [withCode(plugin(), handle), withCode(same, () => {})]) {
      assert.deepEqual(diffConfig(withCode(same, handle), other).servers.changed, ["web"]);
    }
  });
});
