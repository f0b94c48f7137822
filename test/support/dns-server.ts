// A DNS server on loopback that answers for A and AAAA as a test says, over UDP (RFC 1035). It notes what it was asked.

import dgram from "node:dgram";
import type { AddressInfo } from "node:net";

/** What is said to one question. `ttl` is in seconds; without addresses and code: the name exists and has none of this kind. */
export interface DnsAnswer {
  readonly addresses?: readonly string[];
  readonly ttl?: number;
  readonly code?: "NXDOMAIN" | "SERVFAIL" | "REFUSED";
  /** The name is another name's alias, to which the addresses belong. */
  readonly alias?: { readonly name: string; readonly ttl: number };
}

/** Null: no answer at all. A promise holds the answer back. */
export type DnsScript = (name: string, type: "A" | "AAAA") => DnsAnswer | null | Promise<DnsAnswer | null>;

const CODES = { NXDOMAIN: 3, SERVFAIL: 2, REFUSED: 5 } as const;
const TYPES = { A: 1, AAAA: 28, CNAME: 5 } as const;
const HEADER_BYTES = 12;

export class DnsServer {
  /** "A a.example", in the order in which they came. */
  readonly questions: string[] = [];
  /** May be replaced at any time. */
  script: DnsScript;
  readonly #socket = dgram.createSocket("udp4");

  private constructor(script: DnsScript) {
    this.script = script;
    this.#socket.on("message", (message, peer) => {
      void this.#answer(message).then((answer) => {
        if (answer !== null) this.#socket.send(answer, peer.port, peer.address);
      });
    });
  }

  static async start(script: DnsScript): Promise<DnsServer> {
    const server = new DnsServer(script);
    await new Promise<void>((resolve) => server.#socket.bind(0, "127.0.0.1", resolve));
    return server;
  }

  /** As a resolver takes it. */
  get address(): string {
    return `127.0.0.1:${(this.#socket.address() as AddressInfo).port}`;
  }

  async #answer(message: Buffer): Promise<Buffer | null> {
    const { name, type, end } = readQuestion(message);
    this.questions.push(`${type} ${name}`);
    const answer = await this.script(name, type);
    if (answer === null) return null;
    const { addresses = [], ttl = 60, code, alias } = answer;
    const records: Buffer[] = [];
    // The question's own name, which stands behind the header (RFC 1035, section 4.1.4).
    let owner: Buffer = Buffer.from([0xc0, HEADER_BYTES]);
    if (alias !== undefined) {
      records.push(record(owner, TYPES.CNAME, alias.ttl, encodeName(alias.name)));
      owner = encodeName(alias.name);
    }
    for (const address of addresses) records.push(record(owner, TYPES[type], ttl, encodeAddress(address, type)));
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt16BE(message.readUInt16BE(0), 0);
    header.writeUInt16BE(0x8180 | (code === undefined ? 0 : CODES[code]), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, message.subarray(HEADER_BYTES, end), ...records]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }
}

function readQuestion(message: Buffer): { name: string; type: "A" | "AAAA"; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = message[at]!; length > 0; length = message[at]!) {
    labels.push(message.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = message.readUInt16BE(at + 1) === TYPES.AAAA ? "AAAA" : "A";
  return { name: labels.join("."), type, end: at + 5 };
}

function record(owner: Buffer, type: number, ttl: number, data: Buffer): Buffer {
  const middle = Buffer.alloc(10);
  middle.writeUInt16BE(type, 0);
  middle.writeUInt16BE(1, 2);
  middle.writeUInt32BE(ttl, 4);
  middle.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, middle, data]);
}

function encodeName(name: string): Buffer {
  const labels = name.split(".").map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, "latin1"));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

function encodeAddress(address: string, type: "A" | "AAAA"): Buffer {
  if (address.includes(":") !== (type === "AAAA")) throw new Error(`${address} is no answer to ${type}`);
  if (type === "A") return Buffer.from(address.split(".").map(Number));
  // The shortest form, in hexadecimal groups only.
  const [left = "", right = ""] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const before = left === "" ? [] : left.split(":");
  const after = right === "" ? [] : right.split(":");
  const zeros = new Array<string>(8 - before.length - after.length).fill("0");
  return Buffer.from([...before, ...zeros, ...after].map((group) => group.padStart(4, "0")).join(""), "hex");
}
