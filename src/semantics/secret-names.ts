/**
 * Which names are those of secrets, and which texts look as if they held one: for logs that show more than was chosen word by
 * word. It errs on the side of covering: `max_tokens` is covered as `token` is, for a secret in a log cannot be taken back.
 *
 * All patterns are read in one pass: none repeats within a repetition.
 */

/** Wherever they stand in a name: `userPassword`, `X-Auth-Token`, `client_secret`. Words may be apart or not. */
const PARTS = [
  "passw",
  "passphrase",
  "passcode",
  "pwd",
  "secret",
  "token",
  "authori[sz]ation",
  "api[-_. ]?key",
  "access[-_. ]?key",
  "private[-_. ]?key",
  "credential",
  "cookie",
  "session",
  "signature",
  "assertion",
  "csrf",
  "xsrf",
  "jwt",
  "bearer",
  "card[-_. ]?n(?:umber|o|r)",
  "security[-_. ]?code",
  "verification[-_. ]?code",
];
/** Only as a word of a name, for they are parts of others: `pin` of `user_pin`, not of `shipping`. */
const WORDS = [
  ..."pass pw auth otp totp mfa pin puk tan card cvv cvv2 cvc cvc2 csc pan iban ssn sid sig sas".split(" "),
  ...["kennwort", "passwort", "motdepasse"],
];
/** Fields of HTTP with such a name that tell no secret. */
const HARMLESS_FIELDS: ReadonlySet<string> = new Set([
  "www-authenticate",
  "proxy-authenticate",
  "access-control-allow-credentials",
]);

/** What looks like a secret, whatever its name: credentials of HTTP and of URLs, JSON Web Tokens, private keys. */
const SECRET = new RegExp(
  [
    /\b[Bb][Ee][Aa][Rr][Ee][Rr]\s+[\w+/=.~-]{4}/,
    // Words of prose hold neither digits nor capitals.
    /\b(?:[Bb]asic|BASIC|[Dd]igest|DIGEST|[Nn]egotiate|NTLM)\s+(?=[\w+/~.-]*[A-Z0-9=])[\w+/=.~-]{4}/,
    /\beyJ[\w-]{8}/,
    /-----BEGIN [A-Z ]{0,32}PRIVATE KEY/,
    /:\/\/[^\s/@:"]{0,256}:[^\s/@"]{1,512}@/,
  ]
    .map(({ source }) => source)
    .join("|"),
);

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** Without what separates words. */
function joined(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}

/** "userPin", "user_pin" and "user[pin]" in words, lower case. */
function wordsOf(name: string): readonly string[] {
  return name
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]/u);
}

export class SecretNames {
  readonly #more: ReadonlySet<string>;
  readonly #words: ReadonlySet<string>;
  readonly #part: RegExp;
  readonly #mention: RegExp;
  readonly #assigned: RegExp;

  /** `more`: further names, in any case and with any separators. */
  constructor(more: readonly string[] = []) {
    this.#more = new Set(more.flatMap((name) => [name.toLowerCase(), joined(name)]).filter((name) => name !== ""));
    this.#words = new Set(WORDS);
    const parts = PARTS.join("|");
    const words = `\\b(?:${WORDS.join("|")})\\b`;
    const own = [...this.#more].map((name) => `|${escaped(name)}`).join("");
    this.#part = new RegExp(parts, "i");
    this.#mention = new RegExp(`${parts}|${words}${own}`, "iu");
    this.#assigned = new RegExp(`(?:${parts}|${words}${own})[\\w\\\\"'\\]. -]{0,24}[:=]`, "iu");
  }

  /** Whether what stands under this name is a secret. */
  has(name: string): boolean {
    if (this.#part.test(name) || this.#part.test(joined(name))) return true;
    if (this.#more.has(name.toLowerCase()) || this.#more.has(joined(name))) return true;
    return wordsOf(name).some((word) => this.#words.has(word) || this.#more.has(word));
  }

  /** Whether the value of a field of HTTP is a secret by its name. */
  hasField(lowerName: string): boolean {
    return !HARMLESS_FIELDS.has(lowerName) && this.has(lowerName);
  }

  /** Whether a value looks like a secret, or says one under its name. */
  isToldBy(value: string): boolean {
    return SECRET.test(value) || this.#assigned.test(value);
  }

  /** Where a text first names, or looks like, a secret; -1: nowhere. */
  firstMention(text: string): number {
    const places = [text.search(this.#mention), text.search(SECRET)].filter((place) => place >= 0);
    return places.length === 0 ? -1 : Math.min(...places);
  }
}
