/** PROXY protocol headers as a load balancer sends them (haproxy.org, proxy-protocol.txt), versions 1 and 2. */
import { bytesOfAddress } from "../../src/core/address-bytes.ts";
import type { Address } from "../../src/core/ports.ts";

/** Version 1, for two addresses of one family. */
export function proxyLine(source: Address, destination: Address): Buffer {
  const words = [`TCP${source.family}`, source.address, destination.address, source.port, destination.port];
  return Buffer.from(`PROXY ${words.join(" ")}\r\n`);
}

export interface Tlv {
  readonly type: number;
  readonly value: Uint8Array;
}

/** Version 2 around any bytes behind its length. */
export function proxyBinary(command: number, family: number, content: Uint8Array): Buffer {
  const head = Buffer.from("\r\n\r\n\0\r\nQUIT\n\0\0\0\0", "latin1");
  head[12] = command;
  head[13] = family;
  head.writeUInt16BE(content.length, 14);
  return Buffer.concat([head, content]);
}

/** Version 2, TCP, for two addresses of one family. */
export function proxyHeader(source: Address, destination: Address, tlvs: readonly Tlv[] = []): Buffer {
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(destination.port, 2);
  const extensions = tlvs.flatMap(({ type, value }) => [type, value.length >> 8, value.length & 0xff, ...value]);
  const addresses = [...bytesOfAddress(source.address)!, ...bytesOfAddress(destination.address)!];
  return proxyBinary(0x21, source.family === 4 ? 0x11 : 0x21, Buffer.from([...addresses, ...ports, ...extensions]));
}
