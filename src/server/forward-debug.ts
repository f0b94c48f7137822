/** That a rule of `forward` lets the log tell more than usual, in a sentence for whoever starts or checks the proxy: people forget. */
import type { Config } from "../config/config.ts";

export function debugWarnings({ servers }: Config, wallMs: number): readonly string[] {
  return servers.flatMap(({ name, forward }) =>
    (forward?.allow ?? []).flatMap(({ name: rule, debug }) => {
      if (debug === undefined) return [];
      const until = new Date(debug.untilMs).toISOString();
      const which = `servers.${name}.forward: the rule ${rule}`;
      if (debug.untilMs <= wallMs) return [`${which} has a debug block that ended at ${until}: take it out`];
      const what = debug.bodyBytesMax > 0 ? `bodies${debug.headers ? " and header fields" : ""}` : "header fields";
      return [`${which} writes ${what} to the access log until ${until}`];
    }),
  );
}
