/** Whether a request has passed here before (RFC 9110 section 7.6.3): a loop would only end when something breaks. */
import { ProxyError } from "../core/errors.ts";
import { FIELD_VIA } from "../core/field-names.ts";
import type { RequestMessage } from "../core/message.ts";
import { isLoop } from "../semantics/via.ts";
import type { Site } from "./site.ts";

/** null: it has not, or we have no name in Via to know it by. */
export function loopOf({ fields }: RequestMessage, { via }: Site): ProxyError | null {
  if (via === null || fields.rowOfId(FIELD_VIA) < 0 || !isLoop(fields, via.name)) return null;
  return new ProxyError("proxy_loop_detected", `the request already passed here: Via bears our name ${via.name}`);
}
