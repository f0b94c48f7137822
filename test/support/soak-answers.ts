// What the origin of the endurance test answers to a request, known to both sides: the client says in the target which answer
// it wants, and can tell from that alone whether what came is right.

import { copyPattern } from "./soak-pattern.ts";

export interface WantedAnswer {
  /** Its number: no two requests have the same. */
  readonly id: number;
  /** Of the pattern in the body. */
  readonly bytes: number;
  readonly framing: "length" | "chunked";
}

export function targetOf({ id, bytes, framing }: WantedAnswer): string {
  return `/answer/${id}/${bytes}/${framing}`;
}

/** null: the target asks for something else. */
export function wantedBy(target: string): WantedAnswer | null {
  const [, id, bytes, framing] = /\/answer\/(\d+)\/(\d+)\/(length|chunked)$/.exec(target) ?? [];
  if (framing === undefined) return null;
  return { id: Number(id), bytes: Number(bytes), framing: framing as WantedAnswer["framing"] };
}

/** The body says whose answer it is, and every request has another one. */
export function bodyOfAnswer({ id, bytes }: WantedAnswer): Buffer {
  return Buffer.concat([Buffer.from(`answer ${id}\n`), copyPattern(id * 7_919, bytes)]);
}

/** What a client sends with the request of that number. */
export function bodyOfRequest(id: number, bytes: number): Buffer {
  return copyPattern(id * 104_729, bytes);
}
