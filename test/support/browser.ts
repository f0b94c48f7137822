// A browser as far as logins are concerned: it keeps cookies by host as RFC 6265 says, with their prefixes and their
// limits, follows redirects, and says of each navigation what browsers say. Hosts are told apart by their names alone,
// as cookies are.

import http from "node:http";
import https from "node:https";

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

interface Kept {
  readonly name: string;
  readonly value: string;
  readonly path: string;
  readonly secure: boolean;
  readonly sameSite: string;
  readonly httpOnly: boolean;
  readonly persists: boolean;
}

const REDIRECTS_MAX = 20;
/** Name and value; a browser drops what is larger. */
const COOKIE_BYTES_MAX = 4096;

export class Browser {
  /** By host, then by name and path. */
  readonly #jar = new Map<string, Map<string, Kept>>();
  readonly #ca: string | undefined;
  /** Every page of the last navigation, the last one last. */
  trail: Page[] = [];

  constructor(ca?: string) {
    this.#ca = ca;
  }

  /** Goes to a page, and on as it is redirected; `stopAt` is not gone to. */
  async visit(url: string, stopAt: RegExp | null = null, first: RequestOptions = {}): Promise<Page> {
    this.trail = [];
    let next = url;
    let options: RequestOptions = first;
    for (let count = 0; count < REDIRECTS_MAX; count++) {
      const page = await this.request(next, options);
      this.trail.push(page);
      const { location } = page.headers;
      if (location === undefined || page.status < 300 || page.status > 399) return page;
      next = new URL(location, next).href;
      options = {};
      if (stopAt?.test(next)) return page;
    }
    throw new Error(`more than ${REDIRECTS_MAX} redirects, at last to ${next}`);
  }

  /** One request, as a navigation unless `headers` say otherwise. */
  async request(url: string, { method = "GET", headers = {}, body = null }: RequestOptions = {}): Promise<Page> {
    const { protocol, hostname } = new URL(url);
    const cookies = this.#cookiesFor(url);
    const sent = {
      accept: "text/html,application/xhtml+xml,*/*;q=0.8",
      "sec-fetch-mode": "navigate",
      "sec-fetch-site": "none",
      ...(cookies !== "" && { cookie: cookies }),
      ...(body !== null && { "content-length": String(Buffer.byteLength(body)) }),
      ...headers,
    };
    const page = await new Promise<Page>((resolve, reject) => {
      const send = protocol === "https:" ? https.request : http.request;
      const options = { method, headers: sent, agent: false, ...(this.#ca !== undefined && { ca: this.#ca }) };
      const request = send(url, options, (answer) => {
        let text = "";
        answer.setEncoding("utf8");
        answer.on("data", (part: string) => {
          text += part;
        });
        answer.on("error", reject);
        answer.on("end", () => {
          resolve({ url, status: answer.statusCode ?? 0, headers: answer.headers, body: text });
        });
      });
      request.on("error", reject);
      request.end(body ?? undefined);
    });
    for (const line of page.headers["set-cookie"] ?? []) this.#keep(hostname, protocol === "https:", line);
    return page;
  }

  /** Of a host, by name. */
  cookies(host: string): ReadonlyMap<string, Kept> {
    return new Map([...(this.#jar.get(host)?.values() ?? [])].map((kept) => [kept.name, kept]));
  }

  setCookie(host: string, name: string, value: string): void {
    this.#keep(host, true, `${name}=${value}; Path=/`);
  }

  removeCookie(host: string, name: string): void {
    this.#keep(host, true, `${name}=; Path=/; Max-Age=0`);
  }

  /** What a thief has: all cookies as they are now. */
  copy(): Browser {
    const other = new Browser(this.#ca);
    for (const [host, kept] of this.#jar) other.#jar.set(host, new Map(kept));
    return other;
  }

  #cookiesFor(url: string): string {
    const { protocol, hostname, pathname } = new URL(url);
    const sent = [...(this.#jar.get(hostname)?.values() ?? [])].filter(
      ({ path, secure }) =>
        (protocol === "https:" || !secure) &&
        (pathname === path || pathname.startsWith(path.endsWith("/") ? path : `${path}/`)),
    );
    return sent.map(({ name, value }) => `${name}=${value}`).join("; ");
  }

  #keep(host: string, isHttps: boolean, line: string): void {
    const [pair = "", ...attributes] = line.split(";").map((part) => part.trim());
    const name = pair.slice(0, pair.indexOf("="));
    const value = pair.slice(pair.indexOf("=") + 1);
    const attribute = (wanted: string): string | null => {
      const found = attributes.find((item) => item.toLowerCase().split("=")[0] === wanted);
      return found === undefined ? null : (found.split("=")[1] ?? "");
    };
    const path = attribute("path") ?? "/";
    const secure = attribute("secure") !== null;
    const kept = this.#jar.get(host) ?? new Map<string, Kept>();
    this.#jar.set(host, kept);
    if (name.length + value.length + 1 > COOKIE_BYTES_MAX) return;
    if (secure && !isHttps) return;
    if (name.startsWith("__Host-") && !(isHttps && path === "/" && attribute("domain") === null)) return;
    const age = attribute("max-age");
    kept.delete(`${name} ${path}`);
    if (age === "0") return;
    const sameSite = attribute("samesite") ?? "Lax";
    const httpOnly = attribute("httponly") !== null;
    kept.set(`${name} ${path}`, { name, value, path, secure, sameSite, httpOnly, persists: age !== null });
  }
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | null;
}
