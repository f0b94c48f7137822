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
    const wanted = decodeURIComponent(request.url ?? "");
    for (const { name, version, file } of packages) {
      const bytes = readFileSync(file);
      if (wanted === `/${name}/-/${version}.tgz`) {
        response.writeHead(200, { "Content-Type": "application/octet-stream" }).end(bytes);
        return;
      }
      if (wanted !== `/${name}`) continue;
      const isTls = "encrypted" in request.socket;
      const tarball = `${isTls ? "https" : "http"}://${request.headers.host}/${name}/-/${version}.tgz`;
      const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
      const manifest = { name, version, dist: { tarball, integrity } };
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions: { [version]: manifest } }));
      return;
    }
    response.writeHead(404).end("{}");
  };
}
