/**
 * What a certificate may be made for: one DNS name or one IP address, in one spelling. It decides by the text alone and never
 * resolves anything. What is no name of a host is refused, wildcards included: a leaf stands for one host.
 */
import { judgeCidr } from "../../core/cidr.ts";

export interface LeafName {
  readonly kind: "dns" | "ip";
  /** Lower case, without brackets and without a dot at the end; IPv6 in its shortest form (RFC 5952), IPv4 as IPv4. */
  readonly text: string;
}

/** RFC 1035 section 2.3.4, as text without the last dot. */
const NAME_CHARACTERS_MAX = 253;
/**
 * RFC 1123 section 2.1, with what is found in the wild besides: underscores, and hyphens at the end of a label. The URL parsers of
 * clients take them, and so do those who verify certificates.
 */
const LABEL = /^[a-z0-9_][a-z0-9_-]{0,62}$/;

/** null: this is no name of a host. */
export function leafNameOf(host: string): LeafName | null {
  const address = addressOf(host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host);
  if (address !== null) return host.startsWith("[") && !address.includes(":") ? null : { kind: "ip", text: address };
  // RFC 6066 section 3: without the trailing dot. Not `toLowerCase` on other alphabets: they are no host names here.
  const text = (host.endsWith(".") ? host.slice(0, -1) : host).replace(/[A-Z]+/g, (part) => part.toLowerCase());
  if (text.length > NAME_CHARACTERS_MAX) return null;
  const labels = text.split(".");
  if (!labels.every((label) => LABEL.test(label))) return null;
  // A last label of digits is an address that somebody spelled in a way of their own, such as 127.1 or 0x7f000001.
  return /^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1)!) ? null : { kind: "dns", text };
}

function addressOf(text: string): string | null {
  if (text.includes("/")) return null;
  const verdict = judgeCidr(text);
  return verdict.kind === "network" ? verdict.cidr.slice(0, verdict.cidr.indexOf("/")) : null;
}
