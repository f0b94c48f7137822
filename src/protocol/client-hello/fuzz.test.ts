// Any bytes, and ClientHellos with some bytes changed: nothing throws, a beginning never gets another verdict than the
// whole, what was written is read, and how it was cut into records means nothing.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { alpn, clientHello, extension, records, serverName } from "../../../test/support/client-hello-bytes.ts";
import { replayHint, seed } from "../../../test/support/seed.ts";
import { CLIENT_HELLO_BYTES_MAX, ClientHello, parseClientHello } from "./parse.ts";

const RUNS = { seed, numRuns: 1200 };

const name = fc.stringMatching(/^[a-z0-9_-]{1,20}(\.[a-z0-9-]{1,20}){0,3}\.[a-z]{1,5}$/);
const protocols = fc.array(fc.stringMatching(/^[\x00-\xff]{1,12}$/), { minLength: 1, maxLength: 4 });
const others = fc.uniqueArray(fc.tuple(fc.integer({ min: 17, max: 0xfe00 }), fc.uint8Array({ maxLength: 20 })), {
  selector: ([type]) => type,
  maxLength: 4,
});
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 });
const written = fc.record({
  name: fc.option(name),
  protocols: fc.option(protocols),
  isEncrypted: fc.boolean(),
  others,
});

function messageFor(hello: typeof written extends fc.Arbitrary<infer T> ? T : never): Buffer {
  const extensions = hello.others.map(([type, content]) => extension(type, content));
  if (hello.name !== null) extensions.push(serverName(hello.name));
  if (hello.isEncrypted) extensions.unshift(extension(0xfe0d, Buffer.of(0, 1)));
  if (hello.protocols !== null) extensions.unshift(alpn(...hello.protocols));
  return clientHello({ extensions });
}

const value = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 16, 22, 0x2e, 0xff), fc.nat(255));
const change = fc.record({ at: fc.nat(), drop: fc.nat(2), insert: fc.array(value, { maxLength: 2 }) });
const mutated = fc.tuple(written, sizes, fc.array(change, { maxLength: 3 })).map(([hello, cut, changes]) => {
  const bytes = [...records(messageFor(hello), cut)];
  for (const { at, drop, insert } of changes) bytes.splice(at % (bytes.length + 1), drop, ...insert);
  return Buffer.from(bytes);
});
/** Changed within the message, so that the records around it are whole. */
const mutatedWithin = fc
  .tuple(written, fc.array(fc.tuple(fc.nat(), value), { maxLength: 3 }))
  .map(([hello, changes]) => {
    const message = messageFor(hello);
    for (const [at, byte] of changes) message[4 + (at % (message.length - 4))] = byte;
    return records(message);
  });
const anything = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
const begun = fc
  .uint8Array({ maxLength: 60 })
  .map((bytes) => Buffer.concat([Buffer.of(22, 3, 1, 0, 50, 1, 0, 0, 46), bytes]));

describe(`a ClientHello (${replayHint})`, () => {
  it("gets one verdict in any pieces", () => {
    const property = fc.property(fc.oneof(mutated, mutatedWithin, anything, begun), (bytes) => {
      const hello = new ClientHello();
      const whole = parseClientHello(bytes, 0, bytes.length, hello);
      const told = { ...hello };
      assert.ok(Number.isInteger(whole) && whole <= Math.min(bytes.length, CLIENT_HELLO_BYTES_MAX));
      if (whole <= 0) assert.deepEqual(told, { serverName: null, alpn: [], hasEncryptedClientHello: false });
      if (told.serverName !== null) assert.match(told.serverName, /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/);
      let verdict = 0;
      for (let length = 0; length <= bytes.length && verdict === 0; length++) {
        verdict = parseClientHello(bytes, 0, length, hello);
        if (verdict > 0) assert.equal(verdict, length);
      }
      assert.deepEqual([verdict, { ...hello }], [whole, told]);
    });
    fc.assert(property, RUNS);
  });

  it("says what was written, however it is cut into records", () => {
    const property = fc.property(written, sizes, (parts, cut) => {
      const bytes = records(messageFor(parts), cut);
      const hello = new ClientHello();
      assert.equal(parseClientHello(Buffer.concat([bytes, bytes]), 0, 2 * bytes.length, hello), bytes.length);
      assert.deepEqual(
        { ...hello },
        {
          serverName: parts.name,
          alpn: parts.protocols ?? [],
          hasEncryptedClientHello: parts.isEncrypted,
        },
      );
    });
    fc.assert(property, RUNS);
  });
});
