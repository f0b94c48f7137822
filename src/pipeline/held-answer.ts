/**
 * What arrived of an upstream's answer while a hook on its head was waiting. The stream is paused meanwhile, so that this is no
 * more than was under way already. Copied: bytes and trailers are valid during the call that brought them only.
 */
import { FieldBlock } from "../core/fields.ts";

export class HeldAnswer {
  readonly body: Buffer[] = [];
  ended = false;
  trailers: FieldBlock | null = null;

  write(bytes: Buffer, start: number, end: number): void {
    this.body.push(Buffer.from(bytes.subarray(start, end)));
  }

  end(trailers: FieldBlock | null): void {
    this.ended = true;
    this.trailers = copyOf(trailers);
  }

  /** Gives the memory of the trailers back. */
  release(): void {
    this.trailers?.release();
  }
}

/** Trailers for later: whoever keeps them releases them. */
export function copyOf(trailers: FieldBlock | null): FieldBlock | null {
  return trailers === null ? null : FieldBlock.from(trailers.entries());
}
