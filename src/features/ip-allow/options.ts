/** Options of `ipAllow`: networks whose clients pass, and networks whose clients do not. */
import { z } from "zod";
import { cidr } from "../../core/option-addresses.ts";

const longForm = z
  .strictObject({
    allow: z
      .array(cidr())
      .min(1)
      .optional()
      .describe("Networks whose clients pass. Left out, everybody passes whom `deny` does not name."),
    deny: z.array(cidr()).min(1).optional().describe("Networks whose clients get 403. `deny` is asked before `allow`."),
  })
  .check((context) => {
    if (context.value.allow !== undefined || context.value.deny !== undefined) return;
    const message = 'needs "allow", "deny" or both';
    context.issues.push({ code: "custom", message, path: [], input: context.value });
  })
  .transform(({ allow, deny }) => ({ allow: allow ?? null, deny: deny ?? [] }));

export const ipAllowOptions = z
  .union([
    z
      .array(cidr())
      .min(1)
      .transform((allow): { allow: string[] | null; deny: string[] } => ({ allow, deny: [] })),
    longForm,
  ])
  .describe(
    "Lets clients pass by their address and answers 403 to the others. The address is the client's own, or what a trusted proxy says it is. A list is short for `{ allow: [...] }`.",
  );

/** Canonical networks. `deny` is asked first; `allow: null` lets everybody else pass, a list lets only its clients pass. */
export type IpAllowOptions = z.output<typeof ipAllowOptions>;
