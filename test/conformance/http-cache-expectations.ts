// What the public suite finds when it looks at our cache, test by test, in its two editions: the package, from before RFC 9111, and
// the suite's repository. What it requires and does not find has its reason in the RFC; what it would find better, and what it only
// looks at, stands here so that a change shows.

/** In what a proxy is run for the suite: times that a cache may make up are made up, and old answers stand in for failures. */
export const SUITE_CACHE = { heuristic: { share: 0.1, max: "1d" }, staleOnError: "1d", setCookie: "explicit" } as const;

export interface Expectations {
  /** Which edition, for people. */
  readonly edition: string;
  /** How many tests each of its groups has for shared caches. An edition that has others is another one. */
  readonly groups: Readonly<Record<string, number>>;
  /** Required and not passed, with the reason. */
  readonly required: Readonly<Record<string, string>>;
  /** Would be better, and is not so, with the reason. */
  readonly optimal: Readonly<Record<string, string>>;
  /** Neither better nor worse: what the suite looks at and answers with no. */
  readonly checked: readonly string[];
  /** What comes out either way. */
  readonly eitherWay: readonly string[];
}

const AGE =
  "RFC 9111, section 5.1: of several members of Age the first counts, and a value that is no number is ignored. The suite has RFC 7234, and has changed since.";

const CLOSED =
  "The stale answer is not given, as it must not be: the client gets 502. The suite takes an answer without its own field Server-Request-Count for one from the cache, and has changed since.";

/** Groups that have as many tests in one edition as in the other. */
const GROUPS_IN_BOTH = {
  expires: 8,
  "expires-parse": 16,
  heuristic: 27,
  method: 1,
  "cc-request": 12,
  pragma: 5,
  vary: 20,
  "vary-parse": 7,
  "conditional-lm": 5,
  "conditional-inm": 21,
  headers: 30,
  update304: 21,
  updateHEAD: 5,
  invalidation: 16,
  partial: 10,
  auth: 4,
};

const REQUIRED_IN_BOTH = {
  "headers-store-Transfer-Encoding":
    "RFC 9112, section 6.1: the origin names a transfer coding that nobody knows. How such a body ends could be read in two ways: 502.",
};

const BROKEN_PART =
  "RFC 9110, section 15.3.7.1: Content-Range says which bytes a part has. This one says six and has five: it is not known which ones, and the four tests differ in what they take them for.";

const OPTIMAL_IN_BOTH = {
  "method-POST":
    "RFC 9110, section 9.3.3, allows it and does not ask for it. Of two POSTs that overlap nobody knows whose answer is what GET would get now.",
  "vary-normalise-lang-select":
    "RFC 9111, section 4.1: a variant is good for requests that ask for the same. Here another language is asked for as well, and what the origin would choose is its own affair.",
  "vary-normalise-space":
    "RFC 9111, section 4.1: whitespace counts for nothing where the field's syntax allows it, and the suite's field has none that is known.",
  "conditional-lm-fresh-no-lm":
    "RFC 9111, section 4.3.2: without Last-Modified the answer's Date counts, and that is later than the client's date: 200, not 304.",
  "partial-store-partial-reuse-partial": BROKEN_PART,
  "partial-store-partial-reuse-partial-byterange": BROKEN_PART,
  "partial-store-partial-reuse-partial-absent": BROKEN_PART,
  "partial-store-partial-reuse-partial-suffix": BROKEN_PART,
  "partial-store-partial-complete":
    "RFC 9110, section 15.3.7.3: without a strong validator nothing can be put behind the part that is there. To ask for the rest would be in vain.",
};

const CHECKED_IN_BOTH: readonly string[] = [
  "ccreq-max-stale-age",
  "conditional-etag-forward",
  "conditional-etag-forward-unquoted",
  "conditional-etag-quoted-respond-unquoted",
  "conditional-etag-strong-generate-unquoted",
  "conditional-etag-strong-respond-obs-text",
  "conditional-etag-unquoted-respond-quoted",
  "conditional-etag-vary-headers-mismatch",
  "freshness-max-age-100a",
  "freshness-max-age-a100",
  "freshness-max-age-decimal-five",
  "freshness-max-age-decimal-zero",
  "freshness-max-age-two-stale-fresh-sameline",
  "freshness-max-age-two-stale-fresh-sepline",
  "head-200-retain",
  "head-410-update",
  "heuristic-delta-10",
  "heuristic-delta-30",
  "heuristic-delta-5",
  "stale-warning-become",
  "stale-warning-stored",
];

/** What an answer to HEAD changes takes effect when it is committed, and the suite asks again at once. */
const SOON_AFTER_HEAD: readonly string[] = ["head-200-freshness-update", "head-200-update"];

export const OF_THE_PACKAGE: Expectations = {
  edition: "the package http-cache-tests 0.4.5",
  groups: {
    ...GROUPS_IN_BOTH,
    "cc-freshness": 21,
    "cc-parse": 19,
    "age-parse": 12,
    "cc-response": 12,
    stale: 10,
    status: 37,
    other: 10,
  },
  required: {
    ...REQUIRED_IN_BOTH,
    "age-parse-nonnumeric": AGE,
    "age-parse-negative": AGE,
    "age-parse-float": AGE,
    "age-parse-prefix-twoline": AGE,
    "age-parse-dup-0": AGE,
    "age-parse-dup-0-twoline": AGE,
    "age-parse-dup-old": AGE,
    "age-parse-parameter": AGE,
    "age-parse-numeric-parameter": AGE,
    "stale-close-must-revalidate": CLOSED,
    "stale-close-proxy-revalidate": CLOSED,
    "stale-close-no-cache": CLOSED,
    "stale-close-s-maxage=2": CLOSED,
    "304-etag-update-response-Content-MD5":
      "RFC 9111, section 3.2: each field of a 304 takes the place of the stored one, and this is none of the exceptions. The suite has changed since.",
    "304-etag-update-response-ETag":
      "RFC 9111, section 4.3.4: a 304 with another strong validator confirms nothing that is stored. All is asked for again, which the suite's origin answers with the status 999.",
  },
  optimal: OPTIMAL_IN_BOTH,
  checked: [
    ...CHECKED_IN_BOTH,
    "freshness-expires-32bit",
    "freshness-expires-far-future",
    "freshness-expires-invalid-1-digit-hour",
    "freshness-expires-invalid-2-digit-year",
    "freshness-expires-invalid-aest",
    "freshness-expires-invalid-date-dashes",
    "freshness-expires-invalid-multiple-lines",
    "freshness-expires-invalid-multiple-spaces",
    "freshness-expires-invalid-no-comma",
    "freshness-expires-invalid-time-periods",
    "freshness-expires-invalid-utc",
    "pragma-request-no-cache",
  ],
  eitherWay: SOON_AFTER_HEAD,
};

export const OF_THE_REPOSITORY: Expectations = {
  edition: "the suite's repository as of commit b55b8bd (20 July 2026)",
  groups: {
    ...GROUPS_IN_BOTH,
    "cc-freshness": 22,
    "cc-parse": 15,
    "age-parse": 15,
    "cc-response": 14,
    stale: 12,
    status: 38,
    other: 13,
    "cdn-cache-control": 24,
    interim: 4,
  },
  required: REQUIRED_IN_BOTH,
  optimal: OPTIMAL_IN_BOTH,
  checked: [
    ...CHECKED_IN_BOTH,
    "304-etag-update-response-Content-Encoding",
    "304-etag-update-response-Content-Range",
    "304-etag-update-response-ETag",
    "age-parse-numeric-parameter",
    "age-parse-parameter",
    "cdn-max-age-case-insensitive",
  ],
  eitherWay: SOON_AFTER_HEAD,
};
