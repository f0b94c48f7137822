/** Options of `stripPrefix`: the prefix itself. */
import { pathPrefix } from "../../core/option-addresses.ts";

export const stripPrefixOptions = pathPrefix().describe(
  "Removes this prefix from the path before the request goes to the upstream: with `/app`, `/app/x` becomes `/x` and `/app` becomes `/`. A path that does not begin with it stays as it is. `X-Forwarded-Prefix` tells the upstream what was removed, behind what a trusted proxy says there.",
);

/** The normalised prefix: begins with "/", does not end with one. */
export type StripPrefixOptions = string;
