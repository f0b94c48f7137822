/** What a program may write, as its compiler sees it: this file is checked by the type-check, and run here. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ConfigWithCode, defineConfig } from "./define.ts";
import { parseConfigObject } from "./parse.ts";
import { formatProblem } from "./problems.ts";

interface Exchange {
  respond(answer: { readonly status: number }): boolean;
}

interface Plugin {
  readonly name: string;
  request?(exchange: Exchange): void;
}

type Config = ConfigWithCode<Plugin, (exchange: Exchange) => void>;

class Stamp implements Plugin {
  readonly name = "stamp";
  request(exchange: Exchange): void {
    exchange.respond({ status: 204 });
  }
}

const stamp = new Stamp();

describe("a program's configuration", () => {
  it("has the types of its plugins and handlers, inline ones too", () => {
    const config: Config = {
      log: { access: "off" },
      upstreams: { app: { servers: ["http://a", { url: "http://b", weight: 2 }], tls: { minVersion: 1.2 } } },
      servers: {
        web: {
          listen: [":80", { address: "127.0.0.1:81" }],
          routes: [
            {
              match: { path: "/up", header: { "x-a": true } },
              use: [
                { compress: true },
                stamp,
                { name: "inline", request: (exchange) => void exchange.respond({ status: 200 }) },
              ],
              handle: (exchange) => void exchange.respond({ status: 200 }),
            },
            { proxy: { to: "app", retries: 3 } },
          ],
        },
      },
    };
    assert.equal(defineConfig<Plugin, (exchange: Exchange) => void>(config), config);
    const result = parseConfigObject(config, { file: "headgate.ts" });
    assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
    const [route] = result.config.servers[0]!.routes;
    assert.deepEqual(
      route!.use.map((use) => (use.feature === "plugin" ? use.plugin.name : use.feature)),
      ["compress", "stamp", "inline"],
    );
    assert.ok(route!.use[1]?.feature === "plugin" && route!.use[1].plugin === stamp);
    assert.ok(route!.action.kind === "handle");
  });

  it("is refused by the compiler where the program would refuse it", () => {
    // @ts-expect-error a field that is none
    const misspelled: Config = { servers: { web: { listen: ":80", respnd: 204 } } };
    // @ts-expect-error a number where text belongs
    const number: Config = { drainTimeout: 30, servers: { web: { listen: ":80", respond: 204 } } };
    // @ts-expect-error a status that no redirect has
    const status: Config = { servers: { web: { listen: ":80", redirect: { to: "/a", status: 300 } } } };
    for (const config of [misspelled, number, status]) {
      assert.equal(parseConfigObject(config, { file: "headgate.ts" }).ok, false);
    }
  });

  it("is not searched for references to the environment", () => {
    const reference = ["$", "{HOME}"].join("");
    const config: Config = { servers: { web: { listen: ":80", respond: { body: reference } } } };
    const result = parseConfigObject(config, { file: "headgate.ts", env: { HOME: "/root" } });
    assert.ok(result.ok);
    const { action } = result.config.servers[0]!.routes[0]!;
    assert.ok(action.kind === "respond" && action.body === reference);
  });
});
