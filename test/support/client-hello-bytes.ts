/** ClientHellos made by hand (RFC 8446, section 4.1.2), for what no client would send; and records around any message. */

/** A vector with its length in front, in as many bytes. */
export function vector(lengthBytes: 1 | 2 | 3, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(bytes.length, 0, lengthBytes);
  return Buffer.concat([length, bytes]);
}

const uint16 = (value: number) => Buffer.of(value >> 8, value & 0xff);

/** An extension of any type. */
export const extension = (type: number, content: Uint8Array) => Buffer.concat([uint16(type), vector(2, content)]);

export const serverName = (name: string | Uint8Array, type = 0) =>
  extension(0, vector(2, Buffer.of(type), vector(2, Buffer.from(name))));

export const alpn = (...names: readonly string[]) =>
  extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name, "latin1")))));

export interface HelloParts {
  readonly sessionId?: Uint8Array;
  readonly suites?: Uint8Array;
  readonly compressions?: Uint8Array;
  /** null: the message ends before them. */
  readonly extensions?: readonly Uint8Array[] | null;
  /** Bytes behind everything, within the message. */
  readonly behind?: Uint8Array;
}

/** The handshake message. */
export function clientHello(parts: HelloParts = {}): Buffer {
  const { sessionId, suites, compressions, extensions = [], behind } = parts;
  const content = [
    Buffer.of(3, 3),
    Buffer.alloc(32, 0xab),
    vector(1, sessionId ?? Buffer.alloc(32)),
    vector(2, suites ?? Buffer.of(0x13, 0x01)),
    vector(1, compressions ?? Buffer.of(0)),
    ...(extensions === null ? [] : [vector(2, ...extensions)]),
    behind ?? Buffer.alloc(0),
  ];
  return Buffer.concat([Buffer.of(1), vector(3, ...content)]);
}

/** Records with the message in fragments of these sizes, used in turn; by default in one. */
export function records(message: Uint8Array, sizes: readonly number[] = [message.length]): Buffer {
  const made: Buffer[] = [];
  for (let at = 0, turn = 0; at < message.length; turn++) {
    const fragment = message.subarray(at, at + sizes[turn % sizes.length]!);
    made.push(Buffer.concat([Buffer.of(22, 3, 1), vector(2, fragment)]));
    at += fragment.length;
  }
  return Buffer.concat(made);
}

/** The handshake message in records, without their headers. */
export function messageOf(bytes: Buffer): Buffer {
  const fragments: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 5 + bytes.readUInt16BE(at + 3);
    fragments.push(bytes.subarray(at + 5, end));
    at = end;
  }
  return Buffer.concat(fragments);
}
