// What the public suite finds when it looks at our cache, test by test. What it requires and does not find has its reason in the RFC;
// what it would find better, and what it only looks at, stands here so that a change shows.

/** In what a proxy is run for the suite: times that a cache may make up are made up, and old answers stand in for failures. */
export const SUITE_CACHE = { heuristic: { share: 0.1, max: "1d" }, staleOnError: "1d", setCookie: "explicit" } as const;

const AGE =
  "RFC 9111, section 5.1: of several members of Age the first counts, and a value that is no number is ignored. The suite has RFC 7234, and has changed since.";
const CLOSED =
  "The stale answer is not given, as it must not be: the client gets 502. The suite takes an answer without its own field Server-Request-Count for one from the cache, and has changed since.";

/** Required, and not passed. */
export const REQUIRED_NOT_PASSED: Readonly<Record<string, string>> = {
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
  "headers-store-Transfer-Encoding":
    "RFC 9112, section 6.1: the origin names a transfer coding that nobody knows. How such a body ends could be read in two ways: 502.",
  "304-etag-update-response-Content-MD5":
    "RFC 9111, section 3.2: each field of a 304 takes the place of the stored one, and this is none of the exceptions. The suite has changed since.",
  "304-etag-update-response-ETag":
    "RFC 9111, section 4.3.4: a 304 with another strong validator confirms nothing that is stored. All is asked for again, which the suite's origin answers with the status 999.",
};

const BROKEN_PART = "The origin says that it sends six bytes, and sends five: it is not known which ones.";

/** Would be better, and is not so. */
export const OPTIMAL_NOT_PASSED: Readonly<Record<string, string>> = {
  "method-POST": "Answers to POST are not stored.",
  "vary-normalise-lang-select": "No language is chosen for a client: variants are told apart by what is asked for.",
  "vary-normalise-space":
    "RFC 9111, section 4.1: whitespace counts for nothing where the field's syntax allows it, and the suite's field has none that is known.",
  "conditional-lm-fresh-no-lm":
    "RFC 9111, section 4.3.2: without Last-Modified the answer's Date counts, and that is later than the client's date.",
  "partial-store-partial-reuse-partial": BROKEN_PART,
  "partial-store-partial-reuse-partial-byterange": BROKEN_PART,
  "partial-store-partial-reuse-partial-absent": BROKEN_PART,
  "partial-store-partial-reuse-partial-suffix": BROKEN_PART,
  "partial-store-partial-complete":
    "RFC 9110, section 15.3.7.3: without a strong validator nothing can be put behind the part that is there.",
};

/** Neither better nor worse: what the suite looks at and answers with no. */
export const CHECKED_NOT_SO: readonly string[] = [
  "ccreq-max-stale-age",
  "conditional-etag-forward",
  "conditional-etag-forward-unquoted",
  "conditional-etag-quoted-respond-unquoted",
  "conditional-etag-strong-generate-unquoted",
  "conditional-etag-strong-respond-obs-text",
  "conditional-etag-unquoted-respond-quoted",
  "conditional-etag-vary-headers-mismatch",
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
  "pragma-request-no-cache",
  "stale-warning-become",
  "stale-warning-stored",
];

/** What an answer to HEAD changes takes effect when it is committed, and the suite asks again at once. */
export const EITHER_WAY: readonly string[] = ["head-200-freshness-update", "head-200-update"];
