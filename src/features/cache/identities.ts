/**
 * Fields by which a proxy in front tells who asks, as it has found out by a login, a token or a certificate: no Authorization, and the
 * same to an origin that believes them. Headgate passes them on, all of X-Forwarded-* from trusted proxies only; here it is decided
 * whether a request has one that the key does not have. Names that are usual for anything else are not among them.
 */
import type { FieldBlock } from "../../core/fields.ts";
import { NameVariants } from "../../semantics/name-variants.ts";

/** They never reach the origin of a forward proxy's client. */
const FORWARDED = [
  "x-forwarded-user",
  "x-forwarded-email",
  "x-forwarded-groups",
  "x-forwarded-preferred-username",
  "x-forwarded-access-token",
  "x-forwarded-client-cert",
  "x-forwarded-tls-client-cert",
  "x-forwarded-tls-client-cert-info",
];

const TOLD = [
  // CGI's name, of Apache, Authelia and many others.
  "remote-user",
  "remote-email",
  "remote-groups",
  "remote-name",
  "x-remote-user",
  // oauth2-proxy, for nginx.
  "x-auth-request-user",
  "x-auth-request-email",
  "x-auth-request-groups",
  "x-auth-request-preferred-username",
  "x-auth-request-access-token",
  // Others that stand in front of applications.
  "x-authenticated-user",
  "x-authenticated-userid",
  "x-authentik-username",
  "x-authentik-uid",
  "x-authentik-jwt",
  "x-consumer-id",
  "x-consumer-username",
  "x-pomerium-jwt-assertion",
  "x-vouch-user",
  "x-webauth-user",
  "tailscale-user-login",
  // Clouds.
  "cf-access-authenticated-user-email",
  "cf-access-jwt-assertion",
  "x-amzn-oidc-accesstoken",
  "x-amzn-oidc-data",
  "x-amzn-oidc-identity",
  "x-goog-authenticated-user-email",
  "x-goog-authenticated-user-id",
  "x-goog-iap-jwt-assertion",
  "x-ms-client-principal",
  "x-ms-client-principal-id",
  "x-ms-client-principal-name",
  // Certificates of clients: RFC 9440, and what there was before it.
  "client-cert",
  "client-cert-chain",
  "ssl-client-cert",
  "ssl-client-subject-dn",
  "x-amzn-mtls-clientcert",
  "x-amzn-mtls-clientcert-leaf",
  "x-amzn-mtls-clientcert-subject",
  "x-client-cert",
  "x-ssl-client-cert",
  "x-ssl-client-dn",
  "x-ssl-client-s-dn",
];

export class ToldIdentities {
  readonly #told: NameVariants;
  readonly #forwarded: NameVariants;

  /** `keyed`: fields of the key, in lower case, which tell answers apart themselves. */
  constructor(keyed: readonly string[]) {
    const notKeyed = (names: readonly string[]) => new NameVariants(names.filter((name) => !keyed.includes(name)));
    this.#told = notKeyed(TOLD);
    this.#forwarded = notKeyed(FORWARDED);
  }

  areIn(fields: FieldBlock, isForwardProxy: boolean): boolean {
    return this.#told.areIn(fields) || (!isForwardProxy && this.#forwarded.areIn(fields));
  }
}
