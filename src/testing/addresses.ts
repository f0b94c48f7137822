/**
 * Places of the simulated network: "host:port", "host" (port 80), "[::1]:8080" or "unix:/path" as tests write them, and
 * the addresses that stand for names. It never resolves anything outside the simulation.
 */
import type { Address } from "../core/ports.ts";

export interface Place {
  /** What two spellings of one place share. */
  readonly key: string;
  /** Without brackets; the path of a unix socket. */
  readonly host: string;
  /** 0 for a unix socket. */
  readonly port: number;
}

const DEFAULT_PORT = 80;
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;
const AUTHORITY = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/;

/** Throws TypeError when the text names no place. */
export function placeOf(text: string): Place {
  if (text.startsWith("unix:")) return placeAt(text.slice("unix:".length), 0);
  const match = AUTHORITY.exec(text);
  if (match === null) throw new TypeError(`not a place of the simulated network: ${JSON.stringify(text)}`);
  return placeAt((match[1] ?? match[2])!, match[3] === undefined ? DEFAULT_PORT : Number(match[3]));
}

/** The place that a dial asks for; port 0 says that the host is the path of a unix socket. */
export function placeAt(host: string, port: number): Place {
  if (port === 0) return { key: `unix:${host}`, host, port };
  const lower = host.toLowerCase();
  return { key: lower.includes(":") ? `[${lower}]:${port}` : `${lower}:${port}`, host: lower, port };
}

/** Gives each name an address when it first occurs: 10.0.0.1, 10.0.0.2, ... An address stands for itself. */
export class NameTable {
  readonly #addresses = new Map<string, string>();

  addressOf({ host, port }: Place): Address {
    if (port === 0) return { family: 0, address: host, port: 0 };
    if (host.includes(":")) return { family: 6, address: host, port };
    if (IPV4.test(host)) return { family: 4, address: host, port };
    let address = this.#addresses.get(host);
    if (address === undefined) {
      const number = this.#addresses.size + 1;
      address = `10.0.${number >> 8}.${number & 0xff}`;
      this.#addresses.set(host, address);
    }
    return { family: 4, address, port };
  }
}
