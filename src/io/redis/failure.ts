/**
 * Why Redis could not be asked, in words that may be logged. What a server says is never quoted beyond its first word: it repeats
 * the arguments of commands that it does not know, passwords and session keys among them.
 */
import { ErrorReply } from "redis";
import { systemWordsOf } from "../failures.ts";

/** Explained where the word alone does not say what to do. */
const WORDS: Readonly<Record<string, string>> = {
  WRONGPASS: "it refuses the user name or the password",
  NOAUTH: "it asks for a password",
  NOPERM: "the user has no right to a command or a key",
  READONLY: "it is a replica",
  MOVED: 'it is a part of a cluster: its store needs "cluster: true"',
  ASK: 'it is a part of a cluster: its store needs "cluster: true"',
  CLUSTERDOWN: "the cluster is down",
  LOADING: "it is loading its data",
  OOM: "it is out of memory",
  WRONGTYPE: "what it has under the key is no text",
};

/** A script that meets something its user may not do is an ERR, and no NOPERM. */
const FORBIDDEN_IN_SCRIPT = /user executing the script can't|ACL failure in script/;

/** What Node says of a certificate that it does not accept, and what to do about it. */
const CERTIFICATES: readonly (readonly [code: RegExp, words: string])[] = [
  [
    /^(UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/,
    "nobody whom this machine trusts has signed its certificate: see `tls.ca` of its store",
  ],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, "its certificate is for another name: see `tls.serverName` of its store"],
];

/** Where a node of a cluster sends who asks it for a key of another one. */
export interface Redirect {
  /** MOVED: from now on. ASK: for this time. */
  readonly kind: "MOVED" | "ASK";
  /** "": the host that said so. */
  readonly host: string;
  readonly port: number;
}

export class RedisFailure extends Error {
  /** The first word of what the server said; null: it did not say anything. */
  readonly word: string | null;

  readonly redirect: Redirect | null;

  constructor(message: string, word: string | null = null, redirect: Redirect | null = null) {
    super(message);
    this.name = "RedisFailure";
    this.word = word;
    this.redirect = redirect;
  }
}

/** What went wrong, as an error that may be logged. */
export function failureOf(error: unknown): RedisFailure {
  if (error instanceof RedisFailure) return error;
  if (error instanceof ErrorReply) {
    const word = FORBIDDEN_IN_SCRIPT.test(error.message)
      ? "NOPERM"
      : (/^[A-Z]+/.exec(error.message)?.[0] ?? "an error");
    const explained = WORDS[word];
    return new RedisFailure(
      `Redis says ${word}${explained === undefined ? "" : `: ${explained}`}`,
      word,
      redirectOf(error.message),
    );
  }
  const { code, message } = error as NodeJS.ErrnoException;
  // Of all addresses of a name, when none could be reached.
  const inner =
    error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException | undefined)?.code : undefined;
  const what = inner ?? code ?? message;
  return new RedisFailure(`Redis cannot be reached: ${wordsOf(what)}`);
}

/** In words, with the code for who looks it up. */
function wordsOf(what: string): string {
  const words = CERTIFICATES.find(([code]) => code.test(what))?.[1] ?? systemWordsOf(what);
  return words === null ? what : `${words} (${what})`;
}

/** As OpenSSL, and a server that expects TLS, part from who speaks without it. */
const PARTED = /ECONNRESET|EPIPE|Socket closed/;

/** What went wrong without TLS before there ever was a connection: a server that expects it says nothing else. */
export function plainFailureOf(error: unknown): RedisFailure {
  const failure = failureOf(error);
  if (!PARTED.test(failure.message)) return failure;
  return new RedisFailure(`${failure.message}; a server that speaks TLS has a URL that begins with rediss://`);
}

/** "MOVED 3999 127.0.0.1:6381" */
function redirectOf(message: string): Redirect | null {
  const match = /^(MOVED|ASK) \d+ (.*):(\d+)$/.exec(message);
  return match === null ? null : { kind: match[1] as Redirect["kind"], host: match[2]!, port: Number(match[3]) };
}
