/**
 * The origin of most scenarios: an nginx that answers from memory or from files in memory, and counts what it answers.
 * It is the same for all targets, and cheaper than any of them, so that the target is what is measured.
 */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import path from "node:path";
import { findCommand } from "../processes/commands.ts";

export const SMALL_ANSWER = '{"message":"Hello world"}\\n';
export const FILE_BYTES = { "10k": 10 * 1024, "1m": 1024 ** 2, "1g": 1024 ** 3 } as const;
export type OriginFile = keyof typeof FILE_BYTES;

/** An answer of two kilobytes, as an API gives. */
const API_ANSWER = JSON.stringify({
  methodResponses: Array.from({ length: 16 }, (_, index) => [
    "Email/get",
    { state: "75128aab4b1b", list: [`M${index}`] },
    `c${index}`,
  ]),
  note: "x".repeat(900),
}).slice(0, 2048);

/** Files are of real bytes: a hole would be one page of the kernel, always in the processor's cache. */
function writeFile(file: string, bytes: number): void {
  const block = Buffer.alloc(Math.min(bytes, 1024 ** 2));
  for (let at = 0; at < block.length; at++) block[at] = 0x20 + ((at * 31 + (at >> 8)) % 95);
  const descriptor = openSync(file, "w");
  for (let written = 0; written < bytes; written += block.length) {
    writeSync(descriptor, block, 0, Math.min(block.length, bytes - written));
  }
  closeSync(descriptor);
}

/** nginx begins to close kept connections when less than a sixteenth of its places is free; that must not happen. */
export function placesFor(connections: number): number {
  return Math.ceil((connections + 256) * 1.125);
}

/** Writes the origin's configuration, and the files that it shall serve at /10k, /1m, /1g and at /object; gives its command. */
export function nginxOrigin(
  folder: string,
  port: number,
  files: readonly OriginFile[],
  clientsMax: number,
  bodies: readonly number[] = [],
): string[] {
  const documents = path.join(folder, "documents");
  mkdirSync(documents, { recursive: true });
  for (const file of files) writeFile(path.join(documents, file), FILE_BYTES[file]);
  mkdirSync(path.join(documents, "object"));
  for (const [index, bytes] of bodies.entries()) writeFile(path.join(documents, "object", String(index)), bytes);
  const config = path.join(folder, "nginx.conf");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  writeFileSync(
    config,
    `worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.err;
events { worker_connections ${placesFor(clientsMax)}; }
http {
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; server_tokens off; sendfile on; tcp_nopush on;
  open_file_cache max=16 inactive=1h; default_type application/json; root ${documents};
  ${temporary.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  server {
    listen 127.0.0.1:${port} reuseport backlog=4096;
    location / { return 200 '${SMALL_ANSWER}'; }
    location /jmap { return 200 '${API_ANSWER}'; }
    location /auth { add_header X-User alice; return 204; }
    location /requests { stub_status; }
    location /object/ { add_header Cache-Control "public, max-age=86400"; }
${files.map((file) => `    location = /${file} { }`).join("\n")}
  }
}
`,
  );
  return [findCommand("nginx")!, "-e", path.join(folder, "nginx.err"), "-c", config];
}

/** How many requests the origin has answered, without those of this function; it must be asked by nobody else. */
export class RequestCounter {
  readonly #port: number;
  #asked = 0;

  constructor(originPort: number) {
    this.#port = originPort;
  }

  async read(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#port}/requests`)).text();
    const [, handled = ""] = /\n\s*\d+ \d+ (\d+)/.exec(text) ?? [];
    if (handled === "") throw new Error("the origin does not say how many requests it has answered");
    return Number(handled) - ++this.#asked;
  }
}
