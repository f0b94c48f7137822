// A real OpenID provider on loopback, whose login needs no hands: whoever comes is logged in as the account that the
// test has set, or refused. It can be away, come back with other keys, and it counts what it was asked.

import { createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from "node:crypto";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import Provider from "oidc-provider";
import { freePort } from "./free-port.ts";

export interface Account {
  readonly id: string;
  /** Claims of the ID token and of the userinfo endpoint. */
  readonly claims: Readonly<Record<string, unknown>>;
}

export interface ClientOptions {
  readonly redirectUris: readonly string[];
  readonly postLogoutUris?: readonly string[];
  readonly backchannelUri?: string;
  /** null: a public client. */
  readonly secret?: string | null;
  readonly authMethod?: "client_secret_basic" | "client_secret_post";
}

export interface ProviderOptions {
  readonly client: ClientOptions;
  /** Of access tokens. */
  readonly accessTokenSeconds?: number;
  /** Default: yes, each refresh token is good once. */
  readonly rotates?: boolean;
  readonly givesRefreshTokens?: boolean;
}

export const CLIENT_ID = "headgate";
export const CLIENT_SECRET = "a client's secret of the tests";

const SCOPES = "openid profile email offline_access";

export class OpenIdProvider {
  /** The lifetime of access tokens that are given from now on. */
  accessTokenSeconds = 3600;
  account: Account = { id: "alice", claims: { email: "alice@example.org", groups: ["staff", "wheel"] } };
  /** The user does not want to. */
  isDenied = false;
  /** Connections are closed without an answer. */
  isAway = false;
  /** The same for these paths alone. */
  readonly awayPaths = new Set<string>();
  /** Requests so far, by path. */
  readonly asked = new Map<string, number>();
  /** What stands before an answer of the token endpoint; for tests that look at what happens meanwhile. */
  beforeToken: (() => Promise<void>) | null = null;
  /** What becomes of an ID token on its way out, given its claims. */
  changeIdToken: ((claims: Record<string, unknown>) => string) | null = null;
  readonly port: number;
  #signing: { readonly key: KeyObject; readonly id: string } | null = null;
  #server: http.Server;
  readonly #sockets = new Set<Socket>();
  #provider: Provider | null = null;
  #handle: ((request: http.IncomingMessage, response: http.ServerResponse) => void) | null = null;

  private constructor(server: http.Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    this.#serve(server);
  }

  /** Listens, and answers nothing before `configure`. */
  static async start(): Promise<OpenIdProvider> {
    // Of those that nobody gets while it is away.
    return new OpenIdProvider(await listen(await freePort()));
  }

  get issuer(): string {
    return `http://localhost:${this.port}`;
  }

  /** A provider with new keys and no memory, as after a restart from nothing. */
  configure({ client, accessTokenSeconds = 3600, rotates = true, givesRefreshTokens = true }: ProviderOptions): void {
    this.accessTokenSeconds = accessTokenSeconds;
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const id = `key-${randomUUID()}`;
    this.#signing = { key: privateKey, id };
    const key = { ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: id };
    const { secret = CLIENT_SECRET, authMethod = "client_secret_basic" } = client;
    const provider = new Provider(this.issuer, {
      clients: [
        {
          client_id: CLIENT_ID,
          ...(secret === null
            ? { token_endpoint_auth_method: "none" }
            : { client_secret: secret, token_endpoint_auth_method: authMethod }),
          redirect_uris: client.redirectUris,
          post_logout_redirect_uris: client.postLogoutUris ?? [],
          ...(client.backchannelUri !== undefined && {
            backchannel_logout_uri: client.backchannelUri,
            backchannel_logout_session_required: true,
          }),
          grant_types: ["authorization_code", "refresh_token"],
          response_types: ["code"],
        },
      ],
      jwks: { keys: [key] },
      cookies: { keys: ["cookies of the provider"] },
      conformIdTokenClaims: false,
      claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups", "name", "padding"] },
      findAccount: (_context: unknown, id: string) => ({
        accountId: id,
        claims: () => ({ sub: id, ...this.account.claims }),
      }),
      interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interact/${uid}` },
      loadExistingGrant: async (context: GrantContext) => {
        const { provider: own, client: known, session } = context.oidc;
        const grant = new own.Grant({ clientId: known.clientId, accountId: session.accountId });
        grant.addOIDCScope(SCOPES);
        await grant.save();
        return grant;
      },
      // Its own guard against addresses of private networks would keep it from us.
      fetch: (url: string, { dispatcher: _guard, ...init }: RequestInit & { dispatcher?: unknown }) => fetch(url, init),
      issueRefreshToken: () => givesRefreshTokens,
      rotateRefreshToken: rotates,
      ttl: {
        AccessToken: () => this.accessTokenSeconds,
        IdToken: 3600,
        Session: 86_400,
        Grant: 86_400,
        Interaction: 3600,
      },
      features: {
        devInteractions: { enabled: false },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: {
          enabled: true,
          // Without hands here too: the form sends itself.
          logoutSource: (context: { body: string }, form: string) => {
            context.body = `<!doctype html>${form}`;
          },
        },
      },
    });
    this.#provider = provider;
    this.#handle = provider.callback();
  }

  /** It is gone; `comeBack` brings it back on the same port. */
  async leave(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async comeBack(): Promise<void> {
    this.#server = await listen(this.port);
    this.#serve(this.#server);
  }

  /** A token with these claims by the provider's own key. */
  signed(claims: object, header: object = {}): string {
    const { key, id } = this.#signing!;
    const head = { alg: "RS256", typ: "logout+jwt", kid: id, ...header };
    const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
    const text = `${encode(head)}.${encode(claims)}`;
    return `${text}.${sign("sha256", Buffer.from(text), key).toString("base64url")}`;
  }

  /** As PEM: what anybody can have. */
  get publicKey(): string {
    return createPublicKey(this.#signing!.key).export({ type: "spki", format: "pem" }) as string;
  }

  count(path: string): number {
    return this.asked.get(path) ?? 0;
  }

  #serve(server: http.Server): void {
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => {
        response.statusCode = 500;
        response.end(String(error));
      });
    });
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const path = (request.url ?? "").replace(/\?.*/s, "");
    this.asked.set(path, this.count(path) + 1);
    if (this.isAway || this.awayPaths.has(path)) {
      request.socket.destroy();
      return;
    }
    if (path.startsWith("/interact/")) {
      const denied = { error: "access_denied", error_description: "not \x01 today" };
      const result = this.isDenied ? denied : { login: { accountId: this.account.id } };
      await this.#provider!.interactionFinished(request, response, result);
      return;
    }
    if (path === "/token") {
      await this.beforeToken?.();
      if (this.changeIdToken !== null) changeAnswer(response, this.changeIdToken);
    }
    this.#handle!(request, response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }
}

/** Puts another ID token into the answer of the token endpoint, which is written at once. */
function changeAnswer(response: http.ServerResponse, change: (claims: Record<string, unknown>) => string): void {
  const end = response.end.bind(response) as (body: string) => http.ServerResponse;
  response.end = ((body: string | Buffer) => {
    const answer = JSON.parse(body.toString()) as { id_token?: string };
    if (answer.id_token !== undefined) {
      const claims = Buffer.from(answer.id_token.split(".")[1]!, "base64url").toString("utf8");
      answer.id_token = change(JSON.parse(claims) as Record<string, unknown>);
    }
    const text = JSON.stringify(answer);
    response.setHeader("content-length", Buffer.byteLength(text));
    return end(text);
  }) as typeof response.end;
}

interface GrantContext {
  readonly oidc: {
    readonly provider: {
      Grant: new (given: object) => { addOIDCScope(scope: string): void; save(): Promise<string> };
    };
    readonly client: { readonly clientId: string };
    readonly session: { readonly accountId: string };
  };
}

async function listen(port: number): Promise<http.Server> {
  const server = http.createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "localhost", resolve);
  });
  return server;
}
