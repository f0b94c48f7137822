// How bodies flow through an encoder: what comes out, when, and what slows whom down.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import zlib from "node:zlib";
import fc from "fast-check";
import { ProxyError } from "../../core/errors.ts";
import { makeCodings } from "./codings.ts";
import { EncodingBody } from "./encoding-body.ts";
import type { ContentEncoding } from "./options.ts";

const NAMES: readonly ContentEncoding[] = ["gzip", "br", "zstd"];
const LEVELS = { gzip: 5, br: 4, zstd: 3 };
/** Too slow for encoding at once, so that every body takes the other way. */
const SLOW_LEVELS = { gzip: 5, br: 7, zstd: 7 };

/** Both neighbours of a transform: counts what is asked of the source, collects what the receiver gets. */
class Neighbours {
  readonly chunks: Buffer[] = [];
  ended = false;
  error: ProxyError | null = null;
  sourcePaused = false;
  #changed = Promise.withResolvers<void>();

  write(bytes: Buffer, start: number, end: number): void {
    assert.ok(end > start, "an empty write");
    assert.ok(!this.ended && this.error === null, "a write after the end");
    this.chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.#change();
  }

  end(): void {
    assert.ok(!this.ended && this.error === null, "a second end");
    this.ended = true;
    this.#change();
  }

  abort(error: ProxyError): void {
    assert.ok(!this.ended && this.error === null, "an abort after the end");
    this.error = error;
    this.#change();
  }

  pause(): void {
    this.sourcePaused = true;
    this.#change();
  }

  resume(): void {
    this.sourcePaused = false;
    this.#change();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function begin(name: ContentEncoding, levels: Readonly<Record<ContentEncoding, number>> = LEVELS) {
  const neighbours = new Neighbours();
  const body = new EncodingBody(makeCodings(NAMES, levels).get(name)!, neighbours, neighbours);
  return { neighbours, body };
}

function decode(name: ContentEncoding, bytes: Buffer): Buffer {
  return { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync }[name](bytes);
}

/** What a client can read of an answer that has not ended. */
function decodeSoFar(name: ContentEncoding, bytes: Buffer): Buffer {
  switch (name) {
    case "gzip":
      return zlib.gunzipSync(bytes, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
    case "br":
      return zlib.brotliDecompressSync(bytes, { finishFlush: zlib.constants.BROTLI_OPERATION_FLUSH });
    case "zstd":
      return zlib.zstdDecompressSync(bytes, { finishFlush: zlib.constants.ZSTD_e_flush });
  }
}

/** Bytes that hardly shrink. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 1;
  for (let i = 0; i < length; i++) {
    state = (state * 48_271) % 2_147_483_647;
    bytes[i] = state >>> 8;
  }
  return bytes;
}

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

for (const name of NAMES) {
  describe(`a body encoded with ${name}`, () => {
    it("is that of the source again when it is decoded", async () => {
      const pieces = fc.array(
        fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.integer({ min: 1, max: 90_000 })),
        { maxLength: 5 },
      );
      const wait = fc.array(fc.nat(3), { minLength: 1, maxLength: 3 });
      await fc.assert(
        fc.asyncProperty(pieces, wait, async (given, turns) => {
          const { neighbours, body } = begin(name);
          const chunks = given.map((piece) => (typeof piece === "number" ? noise(piece) : Buffer.from(piece)));
          for (const [index, chunk] of chunks.entries()) {
            const framed = Buffer.concat([Buffer.from("<"), chunk, Buffer.from(">")]);
            body.write(framed, 1, framed.length - 1);
            // What was given is the caller's again.
            framed.fill(0);
            for (let turn = turns[index % turns.length]!; turn > 0; turn--) await nextTurn();
            await neighbours.until(() => !neighbours.sourcePaused);
          }
          body.end();
          await neighbours.until(() => neighbours.ended);
          assert.deepEqual(decode(name, neighbours.bytes), Buffer.concat(chunks));
        }),
        { numRuns: 40 },
      );
    });

    it("is there when the source ends, when it is short", () => {
      const { neighbours, body } = begin(name);
      body.write(Buffer.from("hello, "), 0, 7);
      body.write(Buffer.from("world"), 0, 5);
      assert.equal(neighbours.chunks.length, 0);
      body.end();
      assert.ok(neighbours.ended);
      assert.equal(decode(name, neighbours.bytes).toString(), "hello, world");
    });

    it("is valid when it is empty", async () => {
      for (const levels of [LEVELS, SLOW_LEVELS]) {
        const { neighbours, body } = begin(name, levels);
        body.end();
        await neighbours.until(() => neighbours.ended);
        assert.equal(decode(name, neighbours.bytes).length, 0);
      }
    });

    it("can be read so far whenever the source is quiet", async () => {
      const { neighbours, body } = begin(name);
      let said = "";
      for (const text of ["first", " and second", " and third".repeat(1000), "."]) {
        const before = neighbours.chunks.length;
        body.write(Buffer.from(text), 0, text.length);
        said += text;
        await neighbours.until(
          () => neighbours.chunks.length > before && decodeSoFar(name, neighbours.bytes).length === said.length,
        );
        assert.equal(decodeSoFar(name, neighbours.bytes).toString(), said);
      }
      assert.equal(neighbours.ended, false);
      body.dispose();
    });

    it("stops its source while the client does not read, and goes on when it does", async () => {
      const { neighbours, body } = begin(name);
      const chunkBytes = 64 * 1024;
      const whole = noise(32 * chunkBytes);
      let written = 0;
      const writeChunk = () => {
        body.write(whole, written, written + chunkBytes);
        written += chunkBytes;
      };
      writeChunk();
      body.pause();
      for (let turnsPaused = 0; turnsPaused < 1000; turnsPaused++) {
        if (!neighbours.sourcePaused) {
          writeChunk();
          turnsPaused = 0;
        }
        // Brotli looks at up to 1 MiB before it says anything.
        assert.ok(written <= 24 * chunkBytes, `${written} bytes were taken for a client that does not read`);
        await nextTurn();
      }
      assert.ok(neighbours.bytes.length <= written);
      body.resume();
      await neighbours.until(() => !neighbours.sourcePaused);
      writeChunk();
      body.end();
      await neighbours.until(() => neighbours.ended);
      assert.deepEqual(decode(name, neighbours.bytes), whole.subarray(0, written));
    });

    it("holds back what it has when the client stops reading before there is an encoder", async () => {
      const { neighbours, body } = begin(name);
      const bytes = noise(20_000);
      body.write(bytes, 0, bytes.length);
      body.pause();
      assert.ok(neighbours.sourcePaused);
      for (let turn = 0; turn < 50; turn++) await nextTurn();
      assert.equal(neighbours.chunks.length, 0);
      body.resume();
      assert.equal(neighbours.sourcePaused, false);
      await neighbours.until(
        () => neighbours.chunks.length > 0 && decodeSoFar(name, neighbours.bytes).length === bytes.length,
      );
      body.dispose();
    });

    it("ends in an abort when its source breaks, and frees the encoder", async () => {
      const { neighbours, body } = begin(name);
      body.write(noise(100_000), 0, 100_000);
      const error = new ProxyError("http_response_incomplete", "the upstream left");
      body.abort(error);
      body.abort(error);
      assert.equal(neighbours.error, error);
      body.write(noise(10), 0, 10);
      body.end();
      for (let turn = 0; turn < 5; turn++) await nextTurn();
      assert.equal(neighbours.ended, false);
    });

    it("falls silent when the exchange is over", async () => {
      const { neighbours, body } = begin(name);
      body.write(noise(200_000), 0, 200_000);
      body.dispose();
      body.dispose();
      body.resume();
      for (let turn = 0; turn < 5; turn++) await nextTurn();
      assert.deepEqual([neighbours.chunks.length, neighbours.ended, neighbours.error], [0, false, null]);
    });
  });
}

describe("a receiver that throws", () => {
  it("breaks its own answer, not the process", async () => {
    const { neighbours, body } = begin("gzip");
    neighbours.write = () => {
      throw new Error("a plugin's bug");
    };
    body.write(noise(200_000), 0, 200_000);
    await neighbours.until(() => neighbours.error !== null);
    assert.deepEqual([neighbours.error?.type, neighbours.error?.message], ["proxy_internal_error", "a plugin's bug"]);
  });
});
