// Any bytes, and dialogues with some bytes changed: nothing throws, and in any pieces they mean what they mean whole. What
// our client says, our server understands.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { bytesOf, runSocksClient, serveSocks } from "../../../test/support/socks-reader.ts";
import { isAuthority } from "../http1/authority.ts";
import { encodeSocksCredentials, SocksClient } from "./client.ts";
import type { SocksAuthentication } from "./server.ts";

const RUNS = { seed, numRuns: 1500 };

const authentications = fc.constantFrom<SocksAuthentication>("none", "optional", "required");
const credentials = encodeSocksCredentials("ann", "secret");
const connect = (...host: readonly number[]) => [5, 1, 0, ...host, 1, 187];
const hosts = [
  [1, 192, 0, 2, 1],
  [3, 3, 97, 46, 98],
  [4, 32, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
];

const clientBytes = fc.constantFrom(
  ...hosts.flatMap((host) => [
    [5, 1, 0, ...connect(...host), 116],
    [5, 2, 0, 2, ...credentials, ...connect(...host), 116],
  ]),
  [4, 1, 1, 187, 192, 0, 2, 1, 97, 0, 116],
  [4, 1, 1, 187, 0, 0, 0, 1, 97, 0, 97, 46, 98, 0, 116],
);
const serverBytes = fc.constantFrom(
  ...hosts.flatMap((host) => [
    [5, 0, 5, 0, 0, ...host, 1, 2, 116],
    [5, 2, 1, 0, 5, 0, 0, ...host, 1, 2, 116],
    [5, 2, 1, 0, 5, 5, 0, ...host, 1, 2],
  ]),
);

/** Bytes with a few of them replaced, dropped or doubled. */
function mutated(bytes: fc.Arbitrary<number[]>): fc.Arbitrary<Buffer> {
  const value = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 5, 0x7f, 0xff), fc.nat(255));
  const change = fc.record({ at: fc.nat(60), drop: fc.nat(2), insert: fc.array(value, { maxLength: 2 }) });
  return fc.tuple(bytes, fc.array(change, { maxLength: 3 })).map(([whole, changes]) => {
    const copy = [...whole];
    for (const { at, drop, insert } of changes) copy.splice(at % (copy.length + 1), drop, ...insert);
    return Buffer.from(copy);
  });
}

const anything = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));

/** The bytes cut after the given sizes, used in turn. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const end = at + sizes[turn % sizes.length]!;
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
describe(`SOCKS in any pieces (${replayHint})`, () => {
  it("means the same to the server", () => {
    const property = fc.property(fc.oneof(anything, mutated(clientBytes)), authentications, sizes, (bytes, how, at) => {
      const whole = serveSocks([bytes], how);
      for (const [, authority] of whole.events.map((event) => /^connect (.*)/s.exec(event) ?? [])) {
        if (authority === undefined) continue;
        const target = Buffer.from(authority, "latin1");
        assert.ok(isAuthority(target, 0, target.length, true), authority);
      }
      assert.deepEqual(serveSocks(bytesOf(bytes), how), whole);
      assert.deepEqual(serveSocks(cut(bytes, at), how), whole);
    });
    fc.assert(property, RUNS);
  });

  it("means the same to the client", () => {
    const property = fc.property(fc.oneof(anything, mutated(serverBytes)), fc.boolean(), sizes, (bytes, knows, at) => {
      const run = (pieces: readonly Buffer[]) =>
        runSocksClient(SocksClient.to("a.b", 443, knows ? credentials : null)!, pieces);
      const whole = run([bytes]);
      assert.deepEqual(run(bytesOf(bytes)), whole);
      assert.deepEqual(run(cut(bytes, at)), whole);
    });
    fc.assert(property, RUNS);
  });

  it("carries every destination from our client to our server", () => {
    const name = fc.stringMatching(/^[a-z0-9_-]{1,20}(\.[a-z0-9-]{1,20}){0,5}$/);
    const host = fc.oneof(name, fc.ipV4());
    const property = fc.property(host, fc.integer({ min: 1, max: 65_535 }), (destination, port) => {
      const client = SocksClient.to(destination, port, credentials)!;
      const sent = [client.toSend!];
      for (const answer of ["0502", "0100"]) {
        client.receive(Buffer.from(answer, "hex"), 0, 2);
        sent.push(client.toSend!);
      }
      const { events } = serveSocks(sent, "required");
      assert.deepEqual(events.slice(0, 4), [
        ...["sent 0502", "user ann:secret", "sent 0100", `connect ${destination}:${port}`],
      ]);
    });
    fc.assert(property, RUNS);
  });
});
