// Tokens as an issuer makes them, right or wrong as a test wants them.

import { createHmac } from "node:crypto";

export function base64url(value: object | string): string {
  return Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
}

/** "head.claims.signature", by HMAC with SHA-512 unless the head says another one of the three. */
export function hmacToken(
  claims: object,
  key: string,
  head: Readonly<Record<string, unknown>> = { alg: "HS512" },
): string {
  const signed = `${base64url(head)}.${base64url(claims)}`;
  const bits = /^HS(256|384|512)$/.exec(String(head.alg))?.[1] ?? "512";
  return `${signed}.${createHmac(`sha${bits}`, key).update(signed).digest("base64url")}`;
}

export function inSeconds(seconds: number): number {
  return Math.floor(Date.now() / 1000) + seconds;
}
