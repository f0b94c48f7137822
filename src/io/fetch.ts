/**
 * Documents of the web that the proxy itself asks for, off the path of requests: the keys of an issuer, its metadata, tokens. It has
 * the form of the web's `fetch`, which libraries take in place of the global one, and what that lacks: authorities of one's own
 * to trust, a limit of bytes and one deadline for the whole. It follows no redirect: what is asked for may be a secret.
 */
import type { IncomingMessage } from "node:http";
import type { Fetch, FetchInit } from "../core/ports.ts";

const FETCH_BYTES_MAX = 1024 * 1024;
const FETCH_TIMEOUT_MS = 10_000;

export interface FetchOptions {
  /** PEM text of the authorities to trust in place of the system's; null: the system's. */
  readonly ca: string | null;
}

/** Rejects with an Error that names the URL without its query. */
export function createFetch(options: FetchOptions): Fetch {
  return async (input, init = {}) => {
    const url = new URL(input);
    const { method = "GET", headers, body } = init;
    const timeout = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    const signal = init.signal ? AbortSignal.any([init.signal, timeout]) : timeout;
    const asked = `${method} ${url.origin}${url.pathname}`;
    try {
      return await send(
        url,
        { method, headers: Object.fromEntries(new Headers(headers)), signal },
        bodyOf(body),
        options,
      );
    } catch (cause) {
      const reason = timeout.aborted ? `no answer within ${FETCH_TIMEOUT_MS / 1000} s` : (cause as Error).message;
      throw new Error(`${asked}: ${reason}`, { cause });
    }
  };
}

interface Sent {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

async function send(url: URL, sent: Sent, body: Buffer | null, { ca }: FetchOptions): Promise<Response> {
  if (url.protocol !== "https:" && url.protocol !== "http:") throw new Error(`${url.protocol} is not spoken`);
  const isTls = url.protocol === "https:";
  const options = { ...sent, agent: false, ...(isTls && ca !== null && { ca }) };
  // Node's client takes several MiB of memory in each thread, and most proxies ask nobody for documents.
  const client = isTls ? await import("node:https") : await import("node:http");
  return new Promise((resolve, reject) => {
    const request = client.request(url, options);
    request.on("error", reject);
    let hasAnswer = false;
    request.on("response", (message) => {
      hasAnswer = true;
      const parts: Buffer[] = [];
      let length = 0;
      message.on("data", (part: Buffer) => {
        length += part.length;
        if (length > FETCH_BYTES_MAX) message.destroy(new Error(`the answer is larger than ${FETCH_BYTES_MAX} bytes`));
        else parts.push(part);
      });
      message.on("error", reject);
      message.on("end", () => {
        // What throws here, nobody else would catch.
        try {
          resolve(responseOf(message, Buffer.concat(parts)));
        } catch (error) {
          reject(error);
        }
      });
      // Whatever else may end it: behind "end" and "error" this says nothing new.
      message.on("close", () => reject(new Error("the answer has no end")));
    });
    // Also when another protocol was taken up, which nobody has asked for.
    request.on("close", () => {
      if (!hasAnswer) reject(new Error("the connection was closed without an answer"));
    });
    request.end(body ?? undefined);
  });
}

function responseOf(message: IncomingMessage, bytes: Buffer): Response {
  const status = message.statusCode!;
  // HTTP allows three digits, the web's Response these.
  if (status < 200 || status > 599) throw new Error(`the answer has the status ${status}`);
  const headers = new Headers();
  for (let i = 0; i < message.rawHeaders.length; i += 2)
    headers.append(message.rawHeaders[i]!, message.rawHeaders[i + 1]!);
  const hasNoBody = status === 204 || status === 205 || status === 304;
  return new Response(hasNoBody ? null : new Uint8Array(bytes), { status, headers });
}

function bodyOf(body: FetchInit["body"]): Buffer | null {
  if (body === undefined || body === null) return null;
  if (typeof body === "string" || body instanceof URLSearchParams) return Buffer.from(String(body));
  return Buffer.from(body);
}
