/** A client's request as what is fetched for many begins with: its conditions are taken out when it is sent. */
import { FIELD_X_FORWARDED_HOST } from "../../core/field-names.ts";
import type { RequestMessage } from "../../core/message.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { removeForwarded } from "../../semantics/forwarded.ts";
import { authorityOf } from "./keys.ts";

/** Whoever gets it releases its fields. */
export function templateOf({ request, forward }: Exchange, key: string): RequestMessage {
  const template = request.copyWithoutBody();
  // A HEAD may find something stale, and what is fetched anew then is for GET too.
  template.method = "GET";
  // Some have upper case, or a port that goes without saying, of which the origin would make links for all.
  const authority = authorityOf(key);
  const { fields } = template;
  if (fields.get("host") !== authority) {
    const told = fields.rowOfId(FIELD_X_FORWARDED_HOST);
    if (told >= 0 && fields.valueAt(told) === request.authority) fields.set("X-Forwarded-Host", authority);
    fields.set("Host", authority);
    template.authority = authority;
  }
  // On the way to a destination these are the client's own words: an origin that believes them would answer all by them.
  if (forward !== null) removeForwarded(fields);
  return template;
}
