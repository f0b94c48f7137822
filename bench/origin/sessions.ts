/**
 * What a login leaves behind, many times over: tokens (HS512) and records in Redis whose credentials are encrypted as
 * docs/auth.md describes. The keys are made anew for every run.
 */
import { createCipheriv, createHmac, randomBytes } from "node:crypto";
import { connect } from "node:net";

export interface SessionKeys {
  /** Of the tokens. */
  readonly jwt: string;
  /** Of the credentials: 32 bytes in hex. */
  readonly credentials: string;
}

const HOURS = 12;
const VERSION = 1;
const NONCE_BYTES = 12;

export function newKeys(): SessionKeys {
  return { jwt: randomBytes(48).toString("hex"), credentials: randomBytes(32).toString("hex") };
}

/** Stores `count` sessions, and gives the token of each. */
export async function storeSessions(port: number, keys: SessionKeys, count: number): Promise<string[]> {
  const expires = Math.floor(Date.now() / 1000) + HOURS * 3600;
  const tokens: string[] = [];
  const commands: string[] = [];
  for (let index = 0; index < count; index++) {
    const sid = `session-${index}`;
    tokens.push(tokenOf({ sub: `user${index}`, sid, iat: expires - HOURS * 3600, exp: expires }, keys.jwt));
    const record = JSON.stringify({
      v: 1,
      credentials: sealed(`user${index}:password${index}`, sid, keys.credentials),
    });
    commands.push(command("SET", sid, record, "EX", String(HOURS * 3600)));
  }
  await send(port, commands.join(""), count);
  return tokens;
}

function tokenOf(claims: object, key: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS512", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha512", key).update(signed).digest("base64url")}`;
}

function sealed(plaintext: string, context: string, keyHex: string): string {
  const key = Buffer.from(keyHex, "hex");
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
  const encrypted = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  const keyId = createHmac("sha256", key).update("headgate key id").digest().subarray(0, 4);
  return Buffer.concat([Buffer.of(VERSION), keyId, nonce, encrypted, cipher.getAuthTag()]).toString("base64url");
}

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
}

/** Sends commands of which each is answered by +OK. */
function send(port: number, commands: string, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(commands));
    const expected = count * "+OK\r\n".length;
    let received = 0;
    socket.on("data", (answer) => {
      received += answer.length;
      if (answer.includes("-ERR")) socket.destroy(new Error(`Redis answered: ${answer}`));
      else if (received >= expected) {
        socket.destroy();
        resolve();
      }
    });
    socket.once("error", reject);
  });
}
