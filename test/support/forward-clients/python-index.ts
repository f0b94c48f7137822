// A package for Python and the index that pip finds it in: a wheel (PEP 427), which is a ZIP archive, and a page of links (PEP 503).

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";

export interface Wheel {
  readonly name: string;
  readonly bytes: Buffer;
}

/** `files` are what it installs. */
export function makeWheel(name: string, version: string, files: Readonly<Record<string, Buffer>>): Wheel {
  const info = `${name}-${version}.dist-info`;
  const all: Record<string, Buffer> = {
    ...files,
    [`${info}/METADATA`]: Buffer.from(`Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`),
    [`${info}/WHEEL`]: Buffer.from("Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
  };
  const record = Object.entries(all).map(
    ([file, bytes]) => `${file},sha256=${createHash("sha256").update(bytes).digest("base64url")},${bytes.length}\n`,
  );
  all[`${info}/RECORD`] = Buffer.from(`${record.join("")}${info}/RECORD,,\n`);
  return { name: `${name}-${version}-py3-none-any.whl`, bytes: zipOf(all) };
}

export function simpleIndex({ name, bytes }: Wheel, folder: string): string {
  const sum = createHash("sha256").update(bytes).digest("hex");
  return `<!DOCTYPE html><html><body><a href="${folder}${name}#sha256=${sum}">${name}</a></body></html>`;
}

/** Stored, not compressed: APPNOTE 4.3, local headers and files, the central directory, its end. */
function zipOf(files: Readonly<Record<string, Buffer>>): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const path = Buffer.from(name);
    // Version 2.0, no flags, method "stored", 1 January 1980, checksum, both sizes, lengths of the name and of nothing.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(path.length, 22);
    parts.push(Buffer.from("PK\x03\x04", "latin1"), common, path, bytes);
    const behind = Buffer.alloc(14);
    behind.writeUInt32LE(offset, 10);
    directory.push(Buffer.from("PK\x01\x02\x14\x00", "latin1"), common, behind, path);
    offset += 30 + path.length + bytes.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  const count = Object.keys(files).length;
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, central, end]);
}
