import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, it } from "node:test";
import { filesBeside } from "../config/load.ts";
import { parseWithFiles } from "../core/option-files.ts";
import { envelopeKeys } from "./options.ts";

const bytes = Buffer.from(Array.from({ length: 32 }, (_, index) => 255 - index * 7));
const digits = bytes.toString("hex");

describe("keys of envelopes", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "headgate-keys-"));
  after(() => rmSync(folder, { recursive: true }));
  const files = filesBeside(path.join(folder, "headgate.yaml"));
  const parse = (value: unknown) => parseWithFiles(files, () => envelopeKeys().safeParse(value));
  const keyOf = (key: unknown) => parse({ key }).data?.[0]?.key;
  const fileWith = (content: string | Buffer) => {
    const file = path.join(folder, "key");
    writeFileSync(file, content);
    return { file: "key" };
  };

  it("are hexadecimal digits, base64 and base64url in the text", () => {
    assert.equal(keyOf(digits), digits);
    assert.equal(keyOf(digits.toUpperCase()), digits);
    assert.equal(keyOf(bytes.toString("base64")), digits);
    assert.equal(keyOf(bytes.toString("base64url")), digits);
    assert.equal(
      keyOf("0123456789abcdefghijklmnopqrstuv"),
      Buffer.from("0123456789abcdefghijklmnopqrstuv").toString("hex"),
    );
  });

  it("are the same in a file, with or without a line break, and raw bytes whatever they are", () => {
    for (const content of [digits, `${digits}\n`, bytes.toString("base64"), `${bytes.toString("base64")}\r\n`, bytes]) {
      assert.equal(keyOf(fileWith(content)), digits);
    }
    const endsInLineBreak = Buffer.concat([bytes.subarray(0, 31), Buffer.of(0x0a)]);
    assert.equal(keyOf(fileWith(endsInLineBreak)), endsInLineBreak.toString("hex"));
  });

  it("are nothing else, and no message shows what was given", () => {
    for (const key of ["", "secret-that-is-short", digits.slice(2), `${digits}00`, `${digits.slice(1)}g`]) {
      for (const given of [key, fileWith(key)]) {
        const { success, error } = parse({ key: given });
        assert.equal(success, false, key);
        if (key !== "") assert.ok(!JSON.stringify(error).includes(key), key);
      }
    }
    assert.match(JSON.stringify(parse({ key: { file: "missing" } }).error), /there is no such file/);
  });

  it("may be several, with an algorithm each, but not one twice", () => {
    const key = "00".repeat(32);
    const parsed = parse({ keys: [{ key: digits }, { algorithm: "aes-256-cbc-hmac-sha-256", key }] });
    assert.deepEqual(parsed.data, [
      { algorithm: "aes-256-gcm", key: digits },
      { algorithm: "aes-256-cbc-hmac-sha-256", key },
    ]);
    assert.match(JSON.stringify(parse({ keys: [{ key: digits }, { key: bytes.toString("base64") }] }).error), /twice/);
    assert.equal(parse({ keys: [] }).success, false);
  });
});
