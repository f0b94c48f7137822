/** The options of `via`: which destinations go through other proxies, and through which. */
import { z } from "zod";
import { hostPattern } from "../../core/option-addresses.ts";
import { filePath } from "../../core/option-files.ts";
import { oneOrMore } from "../../core/option-types.ts";
import { type PortRange, port } from "../rules/options.ts";
import type { ParentProxy } from "./proxy.ts";
import { parentUrl } from "./url.ts";

const viaRule = z
  .strictObject({
    hosts: oneOrMore(hostPattern())
      .optional()
      .describe("Hosts that are asked for and go this way. By default all that come to this rule."),
    ports: oneOrMore(port).optional().describe("Ports that go this way. By default all."),
    proxy: oneOrMore(parentUrl()).describe(
      "The proxy to go through: `http://`, `https://` or `socks5://`, with user and password where it asks for them. Names are resolved there. Of a list, the first one that can be reached; one that cannot is left out for a while. A list is of SOCKS proxies only, or of others only.",
    ),
    tls: z
      .strictObject({ ca: filePath().describe("PEM file of the authorities to trust, in place of the system's.") })
      .optional()
      .describe("How `https://` proxies are verified."),
  })
  .check(({ value, issues }) => {
    const isSocks = value.proxy.map(({ kind }) => kind === "socks5");
    if (isSocks.includes(true) && isSocks.includes(false)) {
      const message = "SOCKS proxies and others in one list: a request is made for the one or for the other kind";
      issues.push({ code: "custom", message, path: ["proxy"], input: null });
    }
    if (value.tls !== undefined && !value.proxy.some(({ kind }) => kind === "https")) {
      issues.push({ code: "custom", message: "no proxy of this rule is https://", path: ["tls"], input: null });
    }
  });

export const via = z.union([z.literal("direct").transform((): "direct" => "direct"), viaRule]);

type ViaBlock = z.output<typeof via>;

/** A way: to whom it leads, and through what, in the order in which it is tried. */
export interface ViaRule {
  /** undefined: all. */
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly PortRange[] | undefined;
  /** Of SOCKS proxies only, or of others only. */
  readonly proxies: readonly ParentProxy[];
  /** Absolute path of a PEM file; null: the system's authorities. */
  readonly ca: string | null;
}

export function resolveVia(rule: ViaBlock): ViaRule | "direct" {
  if (rule === "direct") return rule;
  const { proxy, tls, ...matched } = rule;
  return { ...matched, proxies: proxy, ca: tls?.ca ?? null };
}
