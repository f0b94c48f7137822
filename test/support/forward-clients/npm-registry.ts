// A registry for npm: packages that a test makes, each with one version, served as the registry's API has it.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type http from "node:http";

export interface PackedPackage {
  readonly name: string;
  readonly version: string;
  /** Of the .tgz that `npm pack` made. */
  readonly file: string;
}

export function registryHandler(packages: readonly PackedPackage[]): http.RequestListener {
  return (request, response) => {
    const answer = registryAnswer(packages, decodeURIComponent(request.url ?? ""), request);
    if (answer === null) response.writeHead(404).end("{}");
    else response.writeHead(200, { "Content-Type": answer.type }).end(answer.bytes);
  };
}

/** What there is under a path; null: nothing. */
export function registryAnswer(
  packages: readonly PackedPackage[],
  wanted: string,
  { socket, headers }: http.IncomingMessage,
): { readonly bytes: Buffer; readonly type: string } | null {
  for (const { name, version, file } of packages) {
    if (wanted === `/${name}/-/${version}.tgz`) return { bytes: readFileSync(file), type: "application/octet-stream" };
    if (wanted !== `/${name}`) continue;
    const tarball = `${"encrypted" in socket ? "https" : "http"}://${headers.host}/${name}/-/${version}.tgz`;
    const integrity = `sha512-${createHash("sha512").update(readFileSync(file)).digest("base64")}`;
    const manifest = { name, version, dist: { tarball, integrity } };
    const document = { name, "dist-tags": { latest: version }, versions: { [version]: manifest } };
    return { bytes: Buffer.from(JSON.stringify(document)), type: "application/json" };
  }
  return null;
}
