// A relay for one test: a client and an origin, and between them two connections of the transport, of which one is spliced
// to the other. Bytes follow a pattern, so that one that is lost, doubled or moved shows.

import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Splice, SpliceHandler } from "../../src/core/ports.ts";
import { type Recording, TransportStage } from "./transport-stage.ts";

/** `length` bytes of a sequence that is told by its offset: of any two places, one is not the other. */
export function pattern(offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = patternByte(offset + index);
  return bytes;
}

function patternByte(at: number): number {
  return (at ^ (at >>> 8) ^ (at >>> 16) ^ 0x5a) & 0xff;
}

/** Counts onSpliced. */
export class SplicedCount implements SpliceHandler {
  count = 0;
  /** Called after it was counted. */
  react: (() => void) | null = null;
  #changed = Promise.withResolvers<void>();

  onSpliced(): void {
    this.count++;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
    this.react?.();
  }

  async until(count: number): Promise<void> {
    while (this.count < count) await this.#changed.promise;
  }
}

export class Relay {
  /** Who talks to the relay, and the relay's end of that. */
  readonly client: Recording;
  readonly front: Recording;
  /** The relay's end towards the origin, and the origin. */
  readonly back: Recording;
  readonly origin: Recording;

  constructor(left: { readonly near: Recording; readonly far: Recording }, right: typeof left) {
    this.client = left.near;
    this.front = left.far;
    this.back = right.near;
    this.origin = right.far;
  }

  /** From the client to the origin. */
  splice(bytes: number, handler: SpliceHandler = new SplicedCount()): Splice {
    const splice = this.front.connection.spliceTo(this.back.connection, bytes, handler);
    assert.ok(splice !== null, "this pair can be spliced");
    return splice;
  }

  /** From the origin to the client. */
  spliceBack(bytes: number, handler: SpliceHandler = new SplicedCount()): Splice {
    const splice = this.back.connection.spliceTo(this.front.connection, bytes, handler);
    assert.ok(splice !== null, "this pair can be spliced");
    return splice;
  }

  destroy(): void {
    for (const { connection } of [this.client, this.front, this.back, this.origin]) connection.destroy();
  }
}

export class RelayStage extends TransportStage {
  async relay(): Promise<Relay> {
    return new Relay(await this.pair(), await this.pair());
  }
}

export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** The bytes that were recorded are the pattern's, from its beginning. */
export function assertPattern(received: Recording, length: number): void {
  assert.equal(received.bytes, length);
  assert.ok(Buffer.concat(received.chunks).equals(pattern(0, length)), "the bytes are whole and in order");
}
