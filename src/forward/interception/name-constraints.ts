/**
 * The names that an authority may certify (RFC 5280 section 4.2.1.10): made of hosts and networks, written, read and asked. What
 * an authority is held to here is what those who verify hold it to; so a key that is stolen is worth no more than its constraints.
 *
 * A kind of name that nobody mentions is not constrained at all. So who lists hosts has all addresses excluded, and who
 * lists networks all hosts, as CAs that are "technically constrained" must (CA/Browser Forum, Baseline Requirements 7.1.2.5.2).
 */
import { CidrSet } from "../../semantics/cidr.ts";
import { type LeafName, leafNameOf } from "./leaf-names.ts";
import { x509 } from "./x509.ts";

export interface Subtree {
  /** What is neither a host nor a network never concerns a leaf of ours. */
  readonly kind: "dns" | "ip" | "other";
  /** "example.org", which stands for all names below as well; ".example.org": those alone; "": all; "10.0.0.0/8". */
  readonly value: string;
}

export interface NameConstraints {
  readonly permitted: readonly Subtree[];
  readonly excluded: readonly Subtree[];
}

const ALL_HOSTS: Subtree = { kind: "dns", value: "" };
const ALL_ADDRESSES: readonly Subtree[] = [
  { kind: "ip", value: "0.0.0.0/0" },
  { kind: "ip", value: "::/0" },
];

/**
 * @param hosts "example.org" and "*.example.org": constraints know no wildcards, so both permit the name and all below.
 * @param networks canonical, such as "10.0.0.0/8"
 */
export function constraintsFor(hosts: readonly string[], networks: readonly string[]): NameConstraints {
  const names = new Set(hosts.map((host) => host.replace(/^\*\./, "")));
  const permitted: Subtree[] = [...names]
    .filter((name) => !isBelowAnother(name, names))
    .map((value) => ({ kind: "dns", value }));
  for (const value of new Set(networks)) permitted.push({ kind: "ip", value });
  const excluded = [...(names.size === 0 ? [ALL_HOSTS] : []), ...(networks.length === 0 ? ALL_ADDRESSES : [])];
  return { permitted, excluded };
}

function isBelowAnother(name: string, names: ReadonlySet<string>): boolean {
  return [...names].some((other) => name.endsWith(`.${other}`));
}

/** Whether those who verify take a leaf for this name. */
export function permits({ permitted, excluded }: NameConstraints, name: LeafName): boolean {
  if (excluded.some((subtree) => covers(subtree, name))) return false;
  const ofItsKind = permitted.filter(({ kind }) => kind === name.kind);
  return ofItsKind.length === 0 || ofItsKind.some((subtree) => covers(subtree, name));
}

/** Whether it permits the hosts of a pattern: "app.example.org", an address, or "*.example.org" for all below. */
export function permitsPattern(constraints: NameConstraints, pattern: string): boolean {
  // What permits a name that nobody has mentioned permits all of them, but for those that are excluded one by one.
  const name = leafNameOf(pattern.startsWith("*.") ? `_${pattern.slice(1)}` : pattern);
  return name !== null && permits(constraints, name);
}

function covers({ kind, value }: Subtree, name: LeafName): boolean {
  if (kind !== name.kind) return false;
  if (kind === "ip") return networkHas(value, name.text);
  const base = value.toLowerCase();
  return base === "" || name.text === base || name.text.endsWith(base.startsWith(".") ? base : `.${base}`);
}

function networkHas(network: string, address: string): boolean {
  try {
    return CidrSet.parse([network]).has(address);
  } catch {
    // A mask with gaps, which nobody writes: it is taken for a network without addresses.
    return false;
  }
}

/** One line for an operator, such as "only example.org and below, 10.0.0.0/8". */
export function describeConstraints({ permitted, excluded }: NameConstraints): string {
  if (permitted.length === 0) return `not ${excluded.map(describeSubtree).join(", ")}`;
  // That all of the other kind are excluded goes without saying.
  const further = excluded.filter((one) => one.value !== "" && !ALL_ADDRESSES.some(({ value }) => value === one.value));
  const exceptions = further.length === 0 ? "" : `; not ${further.map(describeSubtree).join(", ")}`;
  return `only ${permitted.map(describeSubtree).join(", ")}${exceptions}`;
}

function describeSubtree({ kind, value }: Subtree): string {
  if (kind !== "dns") return value;
  if (value === "") return "any host name";
  return value.startsWith(".") ? `*${value}` : `${value} and below`;
}

/** Tags of DER: SEQUENCE, [0] and [1] of NameConstraints, [2] and [7] of GeneralName. */
const SEQUENCE = 0x30;
const PERMITTED = 0xa0;
const EXCLUDED = 0xa1;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;

/** The extension's value in DER. */
export function encodeConstraints({ permitted, excluded }: NameConstraints): Buffer {
  const parts: Buffer[] = [];
  // RFC 5280: a list that is there has an element.
  if (permitted.length > 0) parts.push(der(PERMITTED, permitted.map(encodeSubtree)));
  if (excluded.length > 0) parts.push(der(EXCLUDED, excluded.map(encodeSubtree)));
  return der(SEQUENCE, parts);
}

/** Base alone: `minimum` is 0, the default, and `maximum` absent in every profile of X.509 for the internet. */
function encodeSubtree({ kind, value }: Subtree): Buffer {
  if (kind === "other") throw new TypeError("neither a host nor a network");
  return der(SEQUENCE, [Buffer.from(new x509.GeneralName(kind, value).rawData)]);
}

function der(tag: number, contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  const digits = Buffer.from(length.toString(16).padStart(8, "0"), "hex");
  const used = digits.subarray(digits.findIndex((byte) => byte > 0));
  return Buffer.concat([Buffer.of(tag, 0x80 | used.length), used, content]);
}

/** Reads an extension's value. Throws a RangeError when it is damaged. */
export function decodeConstraints(value: Uint8Array): NameConstraints {
  const [whole] = elementsOf(Buffer.from(value));
  if (whole?.tag !== SEQUENCE) throw new RangeError("no sequence");
  const lists = elementsOf(whole.content);
  const subtreesOf = (tag: number): readonly Subtree[] =>
    lists.filter((list) => list.tag === tag).flatMap((list) => elementsOf(list.content).map(decodeSubtree));
  return { permitted: subtreesOf(PERMITTED), excluded: subtreesOf(EXCLUDED) };
}

function decodeSubtree({ content }: Element): Subtree {
  const [base] = elementsOf(content);
  if (base === undefined) throw new RangeError("a subtree without a name");
  if (base.tag !== DNS_NAME && base.tag !== IP_ADDRESS) return { kind: "other", value: "names that are no hosts" };
  return { kind: base.tag === DNS_NAME ? "dns" : "ip", value: new x509.GeneralName(base.whole).value };
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With its tag and length. */
  readonly whole: Buffer;
}

/** The elements that stand one behind the other. */
function elementsOf(bytes: Buffer): readonly Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at + 1] ?? 0;
    const digits = first < 0x80 ? 0 : first & 0x7f;
    const contentAt = at + 2 + digits;
    // Four digits count gigabytes; none is the indefinite length, which DER forbids.
    if (first === 0x80 || digits > 4 || contentAt > bytes.length) throw new RangeError("no length");
    const length = digits === 0 ? first : bytes.readUIntBE(at + 2, digits);
    const end = contentAt + length;
    if (end > bytes.length) throw new RangeError("an element is longer than what holds it");
    elements.push({ tag: bytes[at]!, content: bytes.subarray(contentAt, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return elements;
}
