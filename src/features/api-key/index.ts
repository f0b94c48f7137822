/**
 * The feature `apiKey`: a key that a program sends with each request, of which only the digest is stored. What a request shows
 * in two places, or twice in one, is no key: another server could take the other one.
 */
import type { RequestMessage } from "../../core/message.ts";
import { isApiKey, keyDigest } from "../../identity/api-keys.ts";
import { AttemptLimit } from "../../identity/attempt-limit.ts";
import { credentialsOf, MALFORMED } from "../../identity/authorization.ts";
import type { FailedAttempts } from "../../identity/failed-attempts.ts";
import { identify } from "../../identity/identify.ts";
import { fieldText, IdentityField } from "../../identity/identity-field.ts";
import {
  BEARER_MALFORMED_STATUS,
  bearerChallenge,
  type RefusalOptions,
  type RefusalReason,
  refusal,
} from "../../identity/refusal.ts";
import type { Exchange, Identity } from "../../pipeline/exchange.ts";
import type { Feature } from "../../pipeline/phases.ts";
import { NameVariants } from "../../semantics/name-variants.ts";
import { parametersOf, withoutParameter } from "../../semantics/query.ts";
import type { ApiKeyOptions, KeyPlace } from "./options.ts";

export interface ApiKeyPorts {
  readonly attempts: FailedAttempts;
  /** What a file of keys holds: digest by name. */
  keys(file: string): ReadonlyMap<string, string>;
}

const NAME = "apiKey";

type Shown = string | null | typeof MALFORMED;

interface Key {
  readonly identity: Identity;
  /** The name as a field can hold it. */
  readonly fieldValue: string;
}

export function createApiKeyFeature(options: ApiKeyOptions, ports: ApiKeyPorts): Feature {
  const feature = new ApiKey(options, ports);
  return { name: NAME, request: (exchange) => feature.request(exchange) };
}

class ApiKey {
  readonly #options: ApiKeyOptions;
  readonly #limit: AttemptLimit;
  readonly #byDigest: ReadonlyMap<string, Key>;
  readonly #nameField: IdentityField | null;
  /** Each place, and how a request shows a key there. */
  readonly #finders: readonly ((request: RequestMessage) => Shown)[];
  readonly #malformed: RefusalOptions;
  readonly #unknown: RefusalOptions;

  constructor(options: ApiKeyOptions, { attempts, keys }: ApiKeyPorts) {
    this.#options = options;
    this.#limit = new AttemptLimit(NAME, attempts, options.failedAttempts);
    this.#finders = options.from.map(finderAt);
    this.#unknown = { challenge: challengeOf(options, "key_unknown") };
    // As RFC 6750 wants it of Bearer.
    this.#malformed = options.from.some(({ kind }) => kind === "bearer") ? { status: BEARER_MALFORMED_STATUS } : {};
    const digests =
      options.file === undefined
        ? (options.keys ?? []).map(({ name, sha256 }) => [name, sha256] as const)
        : keys(options.file);
    this.#byDigest = new Map([...digests].map(([name, digest]) => [digest, keyOf(name)]));
    this.#nameField = options.nameHeader === undefined ? null : new IdentityField(options.nameHeader);
  }

  request(exchange: Exchange): void {
    const { request } = exchange;
    const shown = this.#find(request);
    this.#nameField?.remove(request.fields);
    if (shown === null) return this.#refuse(exchange, "credentials_missing");
    if (shown === MALFORMED) return this.#refuse(exchange, "credentials_malformed", this.#malformed);
    // For the client as wrong as an unknown one.
    if (!isApiKey(shown)) return this.#refuse(exchange, "credentials_malformed", this.#unknown);
    const digest = keyDigest(shown);
    const key = this.#byDigest.get(digest);
    const address = exchange.clientAddress;
    if (key === undefined || !this.#limit.isProved(address, digest)) {
      // Whether there is such a key or not: see AttemptLimit.
      const blocked = this.#limit.refusalOf(address);
      if (blocked !== null) return exchange.fail(blocked);
      if (key === undefined) {
        this.#limit.count(address);
        return this.#refuse(exchange, "key_unknown");
      }
      this.#limit.prove(address, digest);
    }
    if (!this.#options.forward) for (const place of this.#options.from) remove(request, place);
    this.#nameField?.add(request.fields, key.fieldValue);
    identify(exchange, key.identity);
  }

  #find(request: RequestMessage): Shown {
    let found: string | null = null;
    for (const keyAt of this.#finders) {
      const here = keyAt(request);
      if (here === null) continue;
      if (here === MALFORMED || found !== null) return MALFORMED;
      found = here;
    }
    return found;
  }

  #refuse(exchange: Exchange, reason: RefusalReason, options: RefusalOptions = {}): void {
    exchange.fail(refusal(NAME, reason, { challenge: challengeOf(this.#options, reason), ...options }));
  }
}

function keyOf(name: string): Key {
  return { identity: { subject: name, by: NAME }, fieldValue: fieldText(name) };
}

function finderAt(place: KeyPlace): (request: RequestMessage) => Shown {
  switch (place.kind) {
    case "header":
      return finderInField(place.name);
    case "bearer":
      return ({ fields }) => credentialsOf(fields, "bearer");
    case "query":
      return ({ query }) => {
        const [first = null, ...others] = parametersOf(query, place.name);
        return others.length > 0 ? MALFORMED : first;
      };
  }
}

/** Another spelling of the name, which an upstream may take for it (`X_Api_Key`), is a second line, or a mistake. */
function finderInField(name: string): (request: RequestMessage) => Shown {
  const variants = new NameVariants([name]);
  return ({ fields }) => {
    const row = variants.rowIn(fields);
    if (row < 0) return null;
    return variants.rowIn(fields, row + 1) < 0 && fields.rowOf(name) === row ? fields.valueAt(row) : MALFORMED;
  };
}

function remove(request: RequestMessage, place: KeyPlace): void {
  switch (place.kind) {
    case "header":
      request.fields.delete(place.name);
      return;
    case "bearer":
      // Of another scheme it is somebody else's.
      if (credentialsOf(request.fields, "bearer") !== null) request.fields.delete("authorization");
      return;
    case "query": {
      const { query } = request;
      const left = withoutParameter(query, place.name);
      if (left !== query) request.setTarget(request.path, left);
    }
  }
}

/** A 401 names a scheme (RFC 9110 section 15.5.2). Keys in a field of their own have none that is registered. */
function challengeOf({ from, realm }: ApiKeyOptions, reason: RefusalReason): string {
  const challenges = from.map(({ kind }) =>
    kind === "bearer" ? bearerChallenge(realm, reason) : `ApiKey realm="${realm}"`,
  );
  return [...new Set(challenges)].join(", ");
}
