// The public suite of tests for HTTP caches, run against a cache: its origin on a free port, its client by way of the cache, and
// its own judgement of what came out. The cases and the judgement are the suite's; ours are only the server's port and the client's
// sockets, because the suite's own client would add fields, follow redirects or share a pool with the test.

import http from "node:http";
import type { AddressInfo } from "node:net";

export type Kind = "required" | "optimal" | "check";

export interface SuiteOfTests {
  readonly id: string;
  readonly name: string;
  readonly tests: readonly {
    readonly id: string;
    /** Default: required. */
    readonly kind?: Kind;
    /** Says something about caches in browsers. */
    readonly browser_only?: boolean;
  }[];
}

/** `true`, or the name and the message of what was thrown. */
export type RawResults = Readonly<Record<string, true | readonly [name: string, message: string]>>;

/** The first of the path behind its kind, in the rest of the segments. */
export type SuiteHandler = (segments: string[], request: http.IncomingMessage, response: http.ServerResponse) => void;

export interface CacheSuite {
  readonly suites: readonly SuiteOfTests[];
  runTests(
    suites: readonly SuiteOfTests[],
    fetch: SuiteFetch,
    isBrowser: boolean,
    base: string,
    atOnce: number,
  ): Promise<void>;
  getResults(): RawResults;
  /** Three texts for the same: an icon, a colour, and the symbol of VERDICTS. */
  determineTestResult(suites: readonly SuiteOfTests[], id: string, results: RawResults): readonly string[];
  readonly handlers: Readonly<Record<"config" | "test" | "state", SuiteHandler>>;
}

/** By the suite's symbols. What depends on a test that did not pass says nothing by itself. */
const VERDICTS = {
  "✅": "pass",
  Y: "pass",
  "⛔️": "fail",
  "⚠️": "fail",
  N: "fail",
  "⚪️": "depends",
  "🔹": "setup",
  "⁉️": "harness",
  "↻": "retry",
  "-": "untested",
} as const;

export type Verdict = (typeof VERDICTS)[keyof typeof VERDICTS];

export interface SuiteResult {
  readonly suite: string;
  readonly id: string;
  readonly kind: Kind;
  readonly verdict: Verdict;
  /** Why it did not pass, in the suite's words. */
  readonly message: string;
}

/** How long an answer may take: the suite waits at most three seconds itself, between requests. */
const ANSWER_MS_MAX = 10_000;

/** Runs all that says something about a shared cache. `open` gets the URL of the origin and gives that of the cache. */
export async function runCacheSuite(
  suite: CacheSuite,
  open: (origin: string) => Promise<string>,
  atOnce: number,
): Promise<SuiteResult[]> {
  await using origin = await suiteOrigin(suite);
  const agent = new http.Agent({ keepAlive: true });
  try {
    await suite.runTests(suite.suites, suiteFetch(agent), false, await open(origin.url), atOnce);
  } finally {
    agent.destroy();
  }
  const raw = suite.getResults();
  const results: SuiteResult[] = [];
  for (const { id: name, tests } of suite.suites) {
    for (const { id, kind = "required", browser_only: isForBrowsers } of tests) {
      if (isForBrowsers === true) continue;
      const symbol = suite.determineTestResult(suite.suites, id, raw)[2] as keyof typeof VERDICTS;
      const result = raw[id];
      const message = result === true || result === undefined ? "" : result.join(": ");
      results.push({ suite: name, id, kind, verdict: VERDICTS[symbol], message });
    }
  }
  return results;
}

/** "159 of 160 required, 98 of 105 optimal, ...": what passes of each kind. */
export function scoreOf(results: readonly SuiteResult[]): string {
  const kinds: readonly Kind[] = ["required", "optimal", "check"];
  const parts = kinds.map((kind) => {
    const all = results.filter((result) => result.kind === kind);
    return `${all.filter(({ verdict }) => verdict === "pass").length} of ${all.length} ${kind}`;
  });
  return parts.join(", ");
}

async function suiteOrigin({ handlers }: CacheSuite): Promise<AsyncDisposable & { readonly url: string }> {
  const server = http.createServer((request, response) => {
    const [kind = "", ...segments] = new URL(request.url!, "http://origin").pathname.split("/").slice(1);
    if (kind === "config" || kind === "test" || kind === "state") handlers[kind](segments, request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface SuiteRequest {
  readonly method?: string;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  readonly body?: string;
}

interface SuiteAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  text(): Promise<string>;
}

export type SuiteFetch = (url: string, init?: SuiteRequest) => Promise<SuiteAnswer>;

/** As much of `fetch` as the suite uses: sends the fields that it names and no others, and follows nothing. */
function suiteFetch(agent: http.Agent): SuiteFetch {
  return (url, { method = "GET", headers = [], body } = {}) =>
    new Promise((resolve, reject) => {
      const signal = AbortSignal.timeout(ANSWER_MS_MAX);
      const request = http.request(url, { method, agent, signal });
      for (const [name, value] of merged(headers)) request.setHeader(name, value);
      request.once("error", reject);
      request.once("response", (response) => resolve(answerOf(response)));
      request.end(body);
    });
}

/** A field that is named twice is sent twice. */
function merged(headers: readonly (readonly [string, string])[]): Map<string, string[]> {
  const byName = new Map<string, string[]>();
  for (const [name, value] of headers) {
    const values = byName.get(name.toLowerCase());
    if (values === undefined) byName.set(name.toLowerCase(), [String(value)]);
    else values.push(String(value));
  }
  return byName;
}

function answerOf(response: http.IncomingMessage): SuiteAnswer {
  const headers = new Headers();
  for (let index = 0; index < response.rawHeaders.length; index += 2) {
    headers.append(response.rawHeaders[index]!, response.rawHeaders[index + 1]!);
  }
  // Taken at once: an answer whose body nobody asks for would keep its connection, and one that breaks off is an error of its own.
  const body = readAll(response);
  body.catch(() => {});
  return { status: response.statusCode!, statusText: response.statusMessage ?? "", headers, text: () => body };
}

async function readAll(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
