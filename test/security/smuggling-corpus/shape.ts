/** What a payload of the corpus is, and how it is written down. */

export type SmugglingFamily =
  | "CL.TE and TE.CL"
  | "TE.TE"
  | "CL.CL"
  | "CL value"
  | "CL.0, 0.CL and TE.0"
  | "chunk size"
  | "chunk extension"
  | "chunk end"
  | "trailer"
  | "field name"
  | "line end"
  | "folding"
  | "request line"
  | "version"
  | "host"
  | "hop-by-hop"
  | "method";

/** What a client sends on one connection. */
export interface SmugglingRequest {
  readonly name: string;
  readonly family: SmugglingFamily;
  /** latin1 */
  readonly bytes: string;
  /** The complete requests that are read before the end or the refusal: "METHOD target body". */
  readonly accepted: readonly string[];
  /**
   * The request behind them, "METHOD target", whose head is accepted and whose end never comes; null when there is
   * none.
   */
  readonly begun: string | null;
  /** Why the rest is refused, by the name of the ERR_ constant, and with which status; null when nothing is. */
  readonly refused: { readonly error: string; readonly status: number } | null;
  /** How the connection stands then: open between requests, open within one, or not read any further. */
  readonly afterwards: "between" | "waits" | "closed";
  readonly why: string;
}

/** What an upstream sends and then closes its connection. */
export interface SmugglingResponse {
  readonly name: string;
  readonly family: SmugglingFamily;
  /** The method of the request that is answered. */
  readonly method: "GET" | "HEAD";
  /** latin1 */
  readonly bytes: string;
  /** The complete responses that are read: "status body". Behind the first final one, they answer nothing. */
  readonly accepted: readonly string[];
  /** Status of the response whose head is accepted and whose end never comes; null when there is none. */
  readonly begun: number | null;
  readonly refused: { readonly error: string } | null;
  readonly why: string;
}

/** The request that is hidden in others. */
export const HIDDEN = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
export const HIDDEN_BYTES = HIDDEN.length;

/** POST /a with the given lines behind Host, an empty line, and what follows. */
export function post(lines: readonly string[], rest = "", version = "1.1"): string {
  return `POST /a HTTP/${version}\r\nHost: a\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${rest}`;
}

export function chunkedPost(rest: string): string {
  return post(["Transfer-Encoding: chunked"], rest);
}

/** `verdict`: the error that refuses it, or the requests that it is. */
export type Draft = readonly [name: string, bytes: string, verdict: string | readonly string[], why: string];

const STATUS_OF: Readonly<Record<string, number>> = {
  ERR_VERSION_UNSUPPORTED: 505,
  ERR_EXPECTATION: 417,
};

/** Payloads that are refused at once, or are nothing but complete requests. */
export function payloads(family: SmugglingFamily, drafts: readonly Draft[]): SmugglingRequest[] {
  return drafts.map(([name, bytes, verdict, why]) =>
    typeof verdict === "string"
      ? {
          ...{ name, family, bytes, accepted: [], begun: null, afterwards: "closed", why },
          refused: { error: verdict, status: STATUS_OF[verdict] ?? 400 },
        }
      : { name, family, bytes, accepted: verdict, begun: null, refused: null, afterwards: "between", why },
  );
}

/** Payloads that are refused in the body of the first request, POST /a. */
export function refusedInBody(family: SmugglingFamily, drafts: readonly Draft[]): SmugglingRequest[] {
  return payloads(family, drafts).map((payload) => ({ ...payload, begun: "POST /a" }));
}
