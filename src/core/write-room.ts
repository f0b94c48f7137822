/** Memory that is nobody else's, for those who have no room where their bytes leave from. */
import { viewOf } from "./copy-bytes.ts";
import type { WriteRoom } from "./ports.ts";

export function freshRoom(bytesMax: number): WriteRoom {
  const bytes = Buffer.allocUnsafeSlow(bytesMax);
  return { bytes, view: viewOf(bytes), start: 0 };
}
