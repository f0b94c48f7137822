/**
 * A proxy that we go through: how it is reached, how we prove to it who we are, and whether it was there when it was tried last.
 * Its credentials are in the bytes that it is sent, and in nothing that is told to anybody else.
 *
 * Health is what requests learn, in this thread: one that failed is tried last for a while. When that is over, one request tries it,
 * and the others only when that has worked.
 */
import type { DialTls } from "../../core/ports.ts";
import { encodeSocksCredentials } from "../../protocol/socks/client.ts";
import { PARENT_AVOID_MS } from "../limits.ts";
import { type ParentProxy, parentName } from "./proxy.ts";

const ALPN = ["http/1.1"];

export class Parent {
  /** Of no other one, for keys. */
  readonly key: string;
  /** For logs and errors: "http://proxy.example.org:3128". */
  readonly name: string;
  readonly kind: ParentProxy["kind"];
  readonly host: string;
  readonly port: number;
  /** null: plain TCP. */
  readonly tls: DialTls | null;
  /** The line of Proxy-Authorization; "": it asks for nothing. A secret, and so is the next. */
  readonly authorization: string;
  readonly socksCredentials: Buffer | null;
  #hasFailed = false;
  #avoidUntilMs = 0;

  /** `ca`: PEM text of the authorities that vouch for it; null: the system's. */
  constructor(key: string, proxy: ParentProxy, ca: string | null) {
    this.key = key;
    const { kind, host, port, credentials } = proxy;
    this.name = parentName(proxy);
    this.kind = kind;
    this.host = host;
    this.port = port;
    this.tls =
      kind === "https"
        ? { serverName: host, verify: true, ca, cert: null, key: null, minVersion: "TLSv1.2", alpn: ALPN }
        : null;
    const isSocks = kind === "socks5";
    this.authorization = isSocks || credentials === null ? "" : basicLine(credentials.user, credentials.password);
    this.socksCredentials =
      isSocks && credentials !== null ? encodeSocksCredentials(credentials.user, credentials.password) : null;
  }

  /** Whether a request that has a choice is to try it. */
  mayBeTried(nowMs: number): boolean {
    if (this.#avoidUntilMs > nowMs) return false;
    if (this.#hasFailed) this.#avoidUntilMs = nowMs + PARENT_AVOID_MS;
    return true;
  }

  /** It has answered as a proxy does. */
  wasReached(): void {
    this.#hasFailed = false;
    this.#avoidUntilMs = 0;
  }

  wasNotReached(nowMs: number): void {
    this.#hasFailed = true;
    this.#avoidUntilMs = nowMs + PARENT_AVOID_MS;
  }
}

function basicLine(user: string, password: string): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${user}:${password}`, "utf8").toString("base64")}\r\n`;
}
