/**
 * The OpenID provider, as far as a login needs it: its metadata, asked for when it is first needed and then kept; codes
 * and refresh tokens, exchanged for tokens whose signatures are verified. `openid-client` speaks the protocol and
 * checks what it says of issuers, audiences, nonces and times; here is decided when the provider is asked, and what its
 * failures mean.
 *
 * A failure is either a ProviderRefusal, which ends a login or a session, or a ProxyError of status 503: the provider
 * cannot be asked, and nothing is known. Neither ever holds what the provider sent: there may be codes and tokens in
 * it.
 */
import * as client from "openid-client";
import { ProxyError } from "../../core/errors.ts";
import type { Clock, Fetch } from "../../core/ports.ts";
import { IssuerKeys, KEYS_COOLDOWN_MS } from "../../identity/issuer-keys.ts";
import { refusal } from "../../identity/refusal.ts";
import type { Claims } from "./claims.ts";
import type { OidcOptions } from "./options.ts";

/** Metadata older than this is asked for again, behind the back of who needs it: endpoints move seldom. */
const METADATA_MAX_AGE_MS = 3_600_000;
/**
 * After a failure nobody asks again for this long, twice as long after each further one: a provider that starts up is
 * left alone.
 */
const BACKOFF_MIN_MS = 1_000;
const BACKOFF_MAX_MS = 30_000;
/** One request to the provider; the client waits for it. */
const TIMEOUT_SECONDS = 10;

/** What the provider has given for a code or for a refresh token. */
export interface Tokens {
  readonly subject: string;
  readonly sid: string | null;
  /** null: none came, which only a refresh may say. */
  readonly idToken: string | null;
  readonly accessToken: string;
  readonly refreshToken: string | null;
  /** Of the access token; null: the provider does not say. */
  readonly lifetimeMs: number | null;
  /** Of the ID token, on the wall clock; null: none came. */
  readonly idTokenEndsMs: number | null;
  readonly userInfo: Claims | null;
}

/** What was sent with the browser to the provider, and must come back. */
export interface Proofs {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

/** The provider says no. `code` is that of RFC 6749 where it gave one. */
export class ProviderRefusal extends Error {
  readonly code: string | null;

  constructor(message: string, code: string | null = null) {
    super(message);
    this.name = "ProviderRefusal";
    this.code = code;
  }
}

/** What is known once the provider has told of itself. */
export interface KnownProvider {
  readonly configuration: client.Configuration;
  readonly issuer: string;
  /** For tokens that the provider itself has given us. */
  readonly keys: IssuerKeys;
  /** For tokens that anybody may send. */
  readonly cautiousKeys: IssuerKeys;
  readonly hasEndSession: boolean;
}

/** Of the options, those that what is known of a provider depends on. */
export type ProviderOptions = ReturnType<typeof providerOptionsOf>;

export function providerOptionsOf(options: OidcOptions) {
  const { issuer, ca, clientId, clientSecret, clientAuthentication, allowedSkew, scopes, parameters, userInfo } =
    options;
  return { issuer, ca, clientId, clientSecret, clientAuthentication, allowedSkew, scopes, parameters, userInfo };
}

export class Provider {
  readonly #options: ProviderOptions;
  readonly #clock: Clock;
  readonly #fetch: Fetch;
  #known: KnownProvider | null = null;
  /** What its keys were made of: where they are, and what the provider signs with. */
  #keysIdentity = "";
  #knownSinceMs = 0;
  #asking: Promise<KnownProvider> | null = null;
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: ProviderOptions, clock: Clock, fetch: Fetch) {
    this.#options = options;
    this.#clock = clock;
    this.#fetch = fetch;
  }

  /** null: it has not told of itself yet. */
  get known(): KnownProvider | null {
    const nowMs = this.#clock.now();
    if (this.#known !== null && nowMs - this.#knownSinceMs > METADATA_MAX_AGE_MS && nowMs >= this.#notBeforeMs) {
      this.#ask().catch(() => {});
    }
    return this.#known;
  }

  /** Rejects with `auth_service_unavailable`, at once where it failed a moment ago. */
  async find(): Promise<KnownProvider> {
    return this.known ?? (await this.#ask());
  }

  #ask(): Promise<KnownProvider> {
    const waitMs = this.#notBeforeMs - this.#clock.now();
    if (this.#asking === null && waitMs > 0) {
      return Promise.reject(unavailable("the issuer did not answer a moment ago", waitMs));
    }
    this.#asking ??= this.#discover().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #discover(): Promise<KnownProvider> {
    try {
      const configuration = await client.discovery(
        new URL(this.#options.issuer),
        this.#options.clientId,
        { [client.clockTolerance]: Math.ceil(this.#options.allowedSkew / 1000) },
        this.#authentication(),
        {
          [client.customFetch]: (url, init) => this.#fetch(url, { ...init, body: init.body as string | null }),
          execute: this.#options.issuer.startsWith("http:") ? [client.allowInsecureRequests] : [],
          timeout: TIMEOUT_SECONDS,
        },
      );
      this.#known = this.#knownOf(configuration);
      this.#knownSinceMs = this.#clock.now();
      this.#failures = 0;
      this.#notBeforeMs = Number.NEGATIVE_INFINITY;
      return this.#known;
    } catch (error) {
      const delayMs = Math.min(BACKOFF_MIN_MS * 2 ** this.#failures++, BACKOFF_MAX_MS);
      this.#notBeforeMs = this.#clock.now() + delayMs;
      throw unavailable(`the issuer's metadata cannot be had: ${textOf(error)}`, delayMs);
    }
  }

  #knownOf(configuration: client.Configuration): KnownProvider {
    const metadata = configuration.serverMetadata();
    if (metadata.jwks_uri === undefined) throw new Error("the issuer names no jwks_uri");
    // Both would throw at the first login otherwise.
    client.buildAuthorizationUrl(configuration, {});
    if (metadata.end_session_endpoint !== undefined) client.buildEndSessionUrl(configuration, {});
    const { issuer, jwks_uri: uri, end_session_endpoint: endSession } = metadata;
    const algorithms = metadata.id_token_signing_alg_values_supported ?? null;
    const keysIdentity = JSON.stringify([uri, algorithms]);
    const isSame = this.#known !== null && this.#keysIdentity === keysIdentity;
    this.#keysIdentity = keysIdentity;
    const keysWith = (cooldownMs: number) => new IssuerKeys(uri, algorithms, this.#fetch, cooldownMs);
    return {
      configuration,
      issuer,
      keys: isSame ? this.#known!.keys : keysWith(0),
      cautiousKeys: isSame ? this.#known!.cautiousKeys : keysWith(KEYS_COOLDOWN_MS),
      hasEndSession: endSession !== undefined,
    };
  }

  /** How we prove who we are, decided with each request: before discovery nobody knows what the provider takes. */
  #authentication(): client.ClientAuth {
    const { clientSecret, clientAuthentication } = this.#options;
    if (clientSecret === null) return client.None();
    const basic = client.ClientSecretBasic(clientSecret);
    const post = client.ClientSecretPost(clientSecret);
    return (as, metadata, body, headers) => {
      // RFC 8414 section 2: what is not said is client_secret_basic.
      const taken = as.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
      const isPost =
        clientAuthentication === "auto" ? !taken.includes("client_secret_basic") : clientAuthentication === "post";
      return (isPost ? post : basic)(as, metadata, body, headers);
    };
  }

  async authorizationUrl(known: KnownProvider, redirectUri: string, proofs: Proofs): Promise<string> {
    const challenge = await client.calculatePKCECodeChallenge(proofs.verifier);
    return client.buildAuthorizationUrl(known.configuration, {
      ...this.#options.parameters,
      redirect_uri: redirectUri,
      scope: this.#options.scopes.join(" "),
      state: proofs.state,
      nonce: proofs.nonce,
      code_challenge: challenge,
      code_challenge_method: "S256",
    }).href;
  }

  endSessionUrl(known: KnownProvider, idToken: string | null, redirectUri: string | null): string {
    return client.buildEndSessionUrl(known.configuration, {
      ...(idToken !== null && { id_token_hint: idToken }),
      ...(redirectUri !== null && { post_logout_redirect_uri: redirectUri }),
    }).href;
  }

  /** `answer` is where the browser came back to, with its query. */
  async redeemCode(known: KnownProvider, answer: URL, proofs: Proofs): Promise<Tokens> {
    return this.#exchange(known, null, () =>
      client.authorizationCodeGrant(known.configuration, answer, {
        expectedState: proofs.state,
        expectedNonce: proofs.nonce,
        pkceCodeVerifier: proofs.verifier,
        idTokenExpected: true,
      }),
    );
  }

  /** `subject` is whom the tokens must still be of. */
  async refresh(known: KnownProvider, refreshToken: string, subject: string): Promise<Tokens> {
    return this.#exchange(known, subject, () => client.refreshTokenGrant(known.configuration, refreshToken));
  }

  async #exchange(known: KnownProvider, subject: string | null, ask: () => Promise<TokenAnswer>): Promise<Tokens> {
    try {
      const answer = await ask();
      const { access_token: accessToken, expires_in: seconds } = answer;
      const idToken = await this.#verified(known, answer.id_token ?? null, subject !== null);
      const claims = idToken === null ? null : answer.claims()!;
      const found = claims?.sub ?? subject;
      if (found === null) throw new ProviderRefusal("there is no ID token");
      // OpenID Connect Core section 12.2.
      if (subject !== null && found !== subject)
        throw new ProviderRefusal("the refreshed tokens are of another subject");
      if (!VISIBLE.test(accessToken)) throw new ProviderRefusal("the access token could not stand in a header field");
      return {
        subject: found,
        sid: typeof claims?.sid === "string" ? claims.sid : null,
        idToken,
        accessToken,
        refreshToken: answer.refresh_token ?? null,
        idTokenEndsMs: claims === null ? null : claims.exp * 1000,
        lifetimeMs: seconds === undefined ? null : seconds * 1000,
        userInfo: await this.#userInfo(known, accessToken, found, subject !== null),
      };
    } catch (error) {
      throw judge(error);
    }
  }

  /**
   * An ID token whose signature is the issuer's. At a refresh the old one does where the keys cannot be had: the
   * refresh token was used up by then, and to fail would end the session.
   */
  async #verified(known: KnownProvider, idToken: string | null, isRefresh: boolean): Promise<string | null> {
    if (idToken === null) return null;
    const signed = await known.keys.verify(idToken, "oidc").catch((error: unknown) => {
      if (!isRefresh) throw error;
      return undefined;
    });
    if (signed === null) throw new ProviderRefusal("the ID token is not signed by the issuer's keys");
    return signed === undefined ? null : idToken;
  }

  /** Likewise what the endpoint said before. */
  async #userInfo(known: KnownProvider, token: string, subject: string, isRefresh: boolean): Promise<Claims | null> {
    if (!this.#options.userInfo) return null;
    return client.fetchUserInfo(known.configuration, token, subject).catch((error: unknown) => {
      if (!isRefresh) throw error;
      return null;
    });
  }
}

type TokenAnswer = client.TokenEndpointResponse & client.TokenEndpointResponseHelpers;

const VISIBLE = /^[\x21-\x7e]+$/;

function unavailable(message: string, retryAfterMs = BACKOFF_MIN_MS): ProxyError {
  return refusal("oidc", "auth_service_unavailable", {
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)),
    cause: new Error(message),
  });
}

/**
 * Codes of RFC 6749 sections 4.1.2.1 and 5.2 by which the provider says that it cannot answer, not that it will not.
 */
const TEMPORARY = new Set(["server_error", "temporarily_unavailable"]);
/** Of openid-client: no answer, or one that is none of a token endpoint. */
const NO_ANSWER = new Set(["OAUTH_TIMEOUT", "OAUTH_ABORT", "OAUTH_RESPONSE_IS_NOT_JSON", "OAUTH_PARSE_ERROR"]);

/** What a failure means. Messages of openid-client are fixed sentences; what stands beside them is left behind. */
export function judge(error: unknown): ProxyError | ProviderRefusal {
  if (error instanceof ProxyError || error instanceof ProviderRefusal) return error;
  if (error instanceof client.ResponseBodyError || error instanceof client.AuthorizationResponseError) {
    const isTemporary =
      TEMPORARY.has(error.error) || ("status" in error && (error.status >= 500 || error.status === 429));
    const text = `the issuer says ${textOf(error)}`;
    return isTemporary ? unavailable(text) : new ProviderRefusal(text, plain(error.error, 40));
  }
  if (error instanceof client.WWWAuthenticateChallengeError) {
    return new ProviderRefusal("the issuer refuses our client id or secret", "invalid_client");
  }
  if (error instanceof client.ClientError) {
    if (NO_ANSWER.has(error.code ?? "")) return unavailable(error.message);
    if (error.code === "OAUTH_RESPONSE_IS_NOT_CONFORM") {
      const status = error.cause instanceof Response ? error.cause.status : 0;
      const text = `the issuer answers ${status}`;
      return status >= 500 || status === 429 ? unavailable(text) : new ProviderRefusal(text);
    }
    // Without a code it wraps what our own fetch threw: a message that names the URL without its query.
    if (error.code === undefined && error.cause instanceof Error) return unavailable(error.cause.message);
    return new ProviderRefusal(
      error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message,
    );
  }
  return ProxyError.from(error);
}

/** For the log: what went wrong, in words that hold no secret. */
function textOf(error: unknown): string {
  if (error instanceof client.ResponseBodyError || error instanceof client.AuthorizationResponseError) {
    const description = error.error_description === undefined ? "" : ` (${plain(error.error_description, 200)})`;
    return plain(error.error, 40) + description;
  }
  if (error instanceof client.ClientError && error.code === undefined && error.cause instanceof Error) {
    return error.cause.message;
  }
  return error instanceof Error ? error.message : "something other than an Error was thrown";
}

/** The provider's own words, in visible ASCII and of limited length. */
function plain(text: string, charactersMax: number): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, charactersMax);
}
