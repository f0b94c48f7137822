// Each way of choosing a server keeps its promise about shares, over many requests.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RequestMessage } from "../core/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { SeededRandom } from "../testing/index.ts";
import { type Balanced, createBalancer } from "./balance.ts";

interface StandIn extends Balanced {
  active: number;
}

function servers(...weights: number[]): StandIn[] {
  return weights.map((weight, index) => ({ url: `http://server-${index}`, weight, active: 0, turn: 0 }));
}

function from(clientAddress: string, path = "/", fields: [string, string][] = []): Exchange {
  const request = new RequestMessage();
  request.setTarget(path, null);
  for (const [name, value] of fields) request.fields.append(name, value);
  return { clientAddress, request } as unknown as Exchange;
}

function counts(chosen: readonly StandIn[], all: readonly StandIn[]): number[] {
  return all.map((server) => chosen.filter((one) => one === server).length);
}

const client = { kind: "client" } as const;
const seed = 7;

describe("balancing", () => {
  it("round-robin gives each its weight, spread out and not in bursts", () => {
    const all = servers(5, 1, 1);
    const pick = createBalancer("round-robin", client, new SeededRandom(seed));
    const chosen = Array.from({ length: 7 }, () => pick(all, from("1.1.1.1")));
    assert.deepEqual(
      chosen.map((server) => all.indexOf(server)),
      [0, 0, 1, 0, 2, 0, 0],
    );
  });

  it("least-connections takes the one with the fewest requests for its weight", () => {
    const all = servers(1, 1, 2);
    const pick = createBalancer("least-connections", client, new SeededRandom(seed));
    all[0]!.active = 3;
    all[1]!.active = 1;
    all[2]!.active = 4;
    assert.equal(pick(all, from("1.1.1.1")), all[1]);
    all[1]!.active = 2;
    assert.equal(pick(all, from("1.1.1.1")), all[2]);
  });

  it("least-connections takes equals in turn", () => {
    const all = servers(1, 1, 1);
    const pick = createBalancer("least-connections", client, new SeededRandom(seed));
    assert.deepEqual(
      counts(
        Array.from({ length: 9 }, () => pick(all, from("1.1.1.1"))),
        all,
      ),
      [3, 3, 3],
    );
  });

  it("random follows the weights", () => {
    const all = servers(3, 1);
    const pick = createBalancer("random", client, new SeededRandom(seed));
    const [heavy = 0] = counts(
      Array.from({ length: 4000 }, () => pick(all, from("1.1.1.1"))),
      all,
    );
    assert.ok(heavy > 2850 && heavy < 3150, `3 of 4 go to the heavy one, got ${heavy} of 4000`);
  });

  it("p2c avoids the one that is busy", () => {
    const all = servers(1, 1, 1, 1);
    all[0]!.active = 100;
    const pick = createBalancer("p2c", client, new SeededRandom(seed));
    const [busy = 0] = counts(
      Array.from({ length: 1600 }, () => pick(all, from("1.1.1.1"))),
      all,
    );
    assert.ok(busy > 50 && busy < 150, `only 1 of 16 pairs is twice the busy one, got ${busy} of 1600`);
  });

  it("hash keeps a client with its server, and moves only the clients of a server that leaves", () => {
    const all = servers(1, 1, 1, 1);
    const pick = createBalancer("hash", client, new SeededRandom(seed));
    const addresses = Array.from({ length: 2000 }, (_, i) => `10.0.${i >> 8}.${i & 255}`);
    const before = addresses.map((address) => pick(all, from(address)));
    for (const count of counts(before, all)) assert.ok(count > 400 && count < 600, `a quarter each, got ${count}`);
    const gone = all[2]!;
    const left = all.filter((server) => server !== gone);
    for (const [i, address] of addresses.entries()) {
      const now = pick(left, from(address));
      if (before[i] !== gone) assert.equal(now, before[i]);
    }
  });

  it("hash reads a key once, however many servers there are", () => {
    let reads = 0;
    const path = { length: 1_000, charCodeAt: () => ++reads & 127 };
    const exchange = { clientAddress: "1.1.1.1", request: { path } } as unknown as Exchange;
    const pick = createBalancer("hash", { kind: "path" }, new SeededRandom(seed));
    pick(servers(...new Array<number>(50).fill(1)), exchange);
    assert.equal(reads, path.length);
  });

  it("hash follows the weights", () => {
    const all = servers(3, 1);
    const pick = createBalancer("hash", client, new SeededRandom(seed));
    const chosen = Array.from({ length: 4000 }, (_, i) => pick(all, from(`10.1.${i >> 8}.${i & 255}`)));
    const [heavy = 0] = counts(chosen, all);
    assert.ok(heavy > 2850 && heavy < 3150, `3 of 4 go to the heavy one, got ${heavy} of 4000`);
  });

  it("hash goes by path, by a field or by a cookie, and by the client where that is missing", () => {
    const all = servers(1, 1, 1, 1, 1, 1, 1, 1);
    const random = new SeededRandom(seed);
    const byPath = createBalancer("hash", { kind: "path" }, random);
    const byField = createBalancer("hash", { kind: "header", name: "x-tenant" }, random);
    const byCookie = createBalancer("hash", { kind: "cookie", name: "sid" }, random);
    const spread = (pick: typeof byPath, make: (i: number) => Exchange) =>
      new Set(Array.from({ length: 64 }, (_, i) => pick(all, make(i)))).size;
    assert.equal(
      spread(byPath, (i) => from(`1.1.1.${i}`, "/same")),
      1,
    );
    assert.ok(spread(byPath, (i) => from("1.1.1.1", `/${i}`)) > 4);
    assert.equal(
      spread(byField, (i) => from(`1.1.1.${i}`, "/", [["X-Tenant", "a"]])),
      1,
    );
    assert.ok(spread(byField, (i) => from(`1.1.1.${i}`)) > 4);
    assert.equal(
      spread(byCookie, (i) => from(`1.1.1.${i}`, "/", [["Cookie", `n=${i}; sid=7`]])),
      1,
    );
    assert.ok(spread(byCookie, (i) => from("1.1.1.1", "/", [["Cookie", `sid=${i}`]])) > 4);
  });
});
