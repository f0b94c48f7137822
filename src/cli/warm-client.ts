/**
 * The client by which `cache warm` asks the proxy: HTTP/1.1 over its listeners, as a forward proxy (absolute form, and CONNECT with
 * TLS inside for https) or as the host of the URL itself. Bodies are read and dropped; what the cache did is read from Cache-Status
 * (RFC 9211).
 */
import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import tls from "node:tls";
import { sentenceOfDetail } from "../server/caches/reasons.ts";
import type { ListenerStatus } from "../server/control.ts";

/** Without a byte for so long, a download is given up. The proxy's own limits end it sooner. */
const SILENCE_MS_MAX = 120_000;

/** A listener of the proxy, and how it is spoken to. */
export interface Entrance {
  readonly at: { readonly path: string } | { readonly host: string; readonly port: number };
  readonly isTls: boolean;
  /** It is asked for what is elsewhere. */
  readonly isForward: boolean;
}

export type Fetched =
  | { readonly kind: "stored" | "there" | "unknown"; readonly bytes: number }
  | { readonly kind: "not stored" | "failed"; readonly reason: string };

/** null: nobody speaks HTTP there who was not redirected. */
export function entranceOf({ url, isForward }: ListenerStatus): Entrance | null {
  if (url.startsWith("unix:")) return { at: { path: url.slice("unix:".length) }, isTls: false, isForward };
  const parsed = /^(https?):\/\/\[?([^/\]]*?)\]?:(\d+)(?: |$)/.exec(url);
  if (parsed === null) return null;
  const [, scheme, host = "", port = ""] = parsed;
  return { at: { host, port: Number(port) }, isTls: scheme === "https", isForward };
}

export class WarmClient {
  readonly #entrance: Entrance;
  readonly #authorization: string | null;
  readonly #agent = new http.Agent({ keepAlive: true });

  /** `credentials`: "user:password" for a forward proxy that asks; null: none. */
  constructor(entrance: Entrance, credentials: string | null) {
    this.#entrance = entrance;
    this.#authorization = credentials === null ? null : `Basic ${Buffer.from(credentials).toString("base64")}`;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Never rejects. */
  async fetch(url: string): Promise<Fetched> {
    try {
      const response = await this.#ask(new URL(url));
      let bytes = 0;
      for await (const chunk of response) bytes += (chunk as Buffer).length;
      return outcomeOf(response, bytes);
    } catch (error) {
      return { kind: "failed", reason: (error as Error).message || String((error as NodeJS.ErrnoException).code) };
    }
  }

  async #ask(url: URL): Promise<http.IncomingMessage> {
    const { at, isTls, isForward } = this.#entrance;
    const own = { host: url.host, "user-agent": "headgate-cache-warm", accept: "*/*" };
    const target = `${url.pathname}${url.search}`;
    if (!isForward) {
      const connection = isTls
        ? { createConnection: () => this.#tls({ ...at, servername: url.hostname }) }
        : this.#plain;
      return answerOf(http.request({ ...connection, path: target, headers: own }));
    }
    if (url.protocol === "https:") {
      const tunnel = await this.#tunnel(url);
      const inside = this.#tls({ socket: tunnel, servername: url.hostname });
      return answerOf(
        http.request({ createConnection: () => inside, path: target, headers: { ...own, connection: "close" } }),
      );
    }
    const headers = { ...own, ...this.#proxyFields };
    const connection = isTls ? { createConnection: () => this.#tls(at) } : this.#plain;
    return answerOf(http.request({ ...connection, path: `http://${url.host}${target}`, headers }));
  }

  get #plain(): http.RequestOptions {
    const { at } = this.#entrance;
    return "path" in at ? { socketPath: at.path, agent: this.#agent } : { ...at, agent: this.#agent };
  }

  get #proxyFields(): Readonly<Record<string, string>> {
    return this.#authorization === null ? {} : { "proxy-authorization": this.#authorization };
  }

  /**
   * Not verified: it is the proxy of this machine, found by its own admin interface, and shows certificates of an internal CA. The
   * proxy verifies the origin, and nothing that is secret is sent inside.
   */
  #tls(options: tls.ConnectionOptions): tls.TLSSocket {
    const { servername = "" } = options;
    return tls.connect({
      ...options,
      servername: net.isIP(servername) === 0 ? servername : "",
      rejectUnauthorized: false,
    });
  }

  async #tunnel(url: URL): Promise<net.Socket> {
    const { at, isTls } = this.#entrance;
    const authority = `${url.hostname}:${url.port || 443}`;
    const socket = isTls ? this.#tls(at) : net.connect("path" in at ? { path: at.path } : at);
    const asking = http.request({
      createConnection: () => socket,
      method: "CONNECT",
      path: authority,
      headers: { host: authority, ...this.#proxyFields },
    });
    asking.setTimeout(SILENCE_MS_MAX, () => asking.destroy(new Error("the proxy is silent"))).end();
    const [response] = (await once(asking, "connect")) as [http.IncomingMessage];
    if (response.statusCode === 200) return socket;
    socket.destroy();
    throw new Error(`the proxy answered CONNECT with ${failureOf(response)}`);
  }
}

async function answerOf(asking: http.ClientRequest): Promise<http.IncomingMessage> {
  asking.setTimeout(SILENCE_MS_MAX, () => asking.destroy(new Error("the proxy is silent"))).end();
  const [response] = (await once(asking, "response")) as [http.IncomingMessage];
  return response;
}

/** What came, read to its end: was it stored? */
export function outcomeOf(response: Pick<http.IncomingMessage, "statusCode" | "headers">, bytes: number): Fetched {
  const { statusCode = 0 } = response;
  if (statusCode >= 400) return { kind: "failed", reason: failureOf(response) };
  const said = statusOf(response);
  // A tunnel that nobody looked into, or a cache that was told to be silent.
  if (said === null) return { kind: "unknown", bytes };
  const has = (parameter: string): boolean => said.some((part) => part === parameter);
  // What its origin has confirmed was there as well.
  if (has("hit") || has("fwd-status=304")) return { kind: "there", bytes };
  if (has("stored") || has("collapsed")) return { kind: "stored", bytes };
  return { kind: "not stored", reason: whyNot(said.slice(1)) };
}

function whyNot(said: readonly string[]): string {
  const detail = said.find((part) => part.startsWith("detail="))?.slice("detail=".length);
  const sentence = detail === undefined ? null : sentenceOfDetail(detail);
  const words = said.join("; ") || "the cache does not say why";
  return sentence === null ? words : `${words}: ${sentence}`;
}

/** What our cache says, which is the last in the list: the name, and parameters. null: there is no such field. */
function statusOf({ headers }: Pick<http.IncomingMessage, "headers">): readonly string[] | null {
  const value = headers["cache-status"];
  if (value === undefined) return null;
  const members = String(value).match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
  const parts = (members.at(-1) ?? "").match(/(?:"(?:[^"\\]|\\.)*"|[^;"])+/g) ?? [];
  return parts.map((part) => part.trim());
}

/** The status of a refusal, and what Proxy-Status (RFC 9209) says of it. */
function failureOf({ statusCode, headers }: Pick<http.IncomingMessage, "statusCode" | "headers">): string {
  const error = /error=([a-z_]+)/.exec(String(headers["proxy-status"] ?? ""))?.[1];
  const hint = statusCode === 407 ? ": the proxy asks who it is, which --auth-file says" : "";
  return `${statusCode}${error === undefined ? "" : ` (${error})`}${hint}`;
}
