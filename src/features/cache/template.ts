/** A client's request as what is fetched for many begins with: its conditions are taken out when it is sent. */
import type { RequestMessage } from "../../core/message.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { removeForwarded } from "../../semantics/forwarded.ts";

/** Whoever gets it releases its fields. */
export function templateOf({ request, forward }: Exchange): RequestMessage {
  const template = request.copyWithoutBody();
  // On the way to a destination these are the client's own words: an origin that believes them would answer all by them.
  if (forward !== null) removeForwarded(template.fields);
  return template;
}
