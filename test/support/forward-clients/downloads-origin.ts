// An origin of files to download, as mirrors and registries serve them: those that never change say so, the others are validated
// each time. It is no quicker than a line to it would be, and counts what it sends.

import { createHash } from "node:crypto";
import type http from "node:http";
import { Readable } from "node:stream";
import { setTimeout as after } from "node:timers/promises";

export interface OfferedFile {
  readonly bytes: Buffer;
  readonly type: string;
  readonly isImmutable: boolean;
}

/** Of a line that many share. */
const BYTES_PER_SECOND = 8 * 2 ** 20;
const CHUNK_BYTES = 64 * 1024;

export class DownloadsOrigin {
  /** Paths of which a body was sent, in order. */
  readonly sent: string[] = [];
  /** Of bodies. */
  sentBytes = 0;
  readonly #find: (path: string, request: http.IncomingMessage) => OfferedFile | null;

  constructor(find: (path: string, request: http.IncomingMessage) => OfferedFile | null) {
    this.#find = find;
  }

  readonly handler: http.RequestListener = (request, response) => {
    const path = decodeURIComponent(request.url ?? "");
    const file = this.#find(path, request);
    if (file === null) {
      response.writeHead(404).end();
      return;
    }
    const { bytes, type, isImmutable } = file;
    const tag = `"${createHash("sha256").update(bytes).digest("base64url")}"`;
    response.setHeader("ETag", tag);
    response.setHeader("Cache-Control", isImmutable ? "public, max-age=31536000, immutable" : "no-cache");
    if (request.headers["if-none-match"] === tag) {
      response.writeHead(304).end();
      return;
    }
    response.writeHead(200, { "Content-Type": type, "Content-Length": bytes.length });
    if (request.method === "HEAD") {
      response.end();
      return;
    }
    this.sent.push(path);
    this.sentBytes += bytes.length;
    Readable.from(slowly(bytes)).pipe(response);
  };

  /** What was sent since the last call. */
  take(): { readonly paths: readonly string[]; readonly bytes: number } {
    const taken = { paths: this.sent.splice(0), bytes: this.sentBytes };
    this.sentBytes = 0;
    return taken;
  }
}

async function* slowly(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    yield bytes.subarray(start, start + CHUNK_BYTES);
    await after((CHUNK_BYTES / BYTES_PER_SECOND) * 1000);
  }
}
