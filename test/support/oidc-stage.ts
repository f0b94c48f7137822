// A proxy with a login in front of an origin, a real OpenID provider beside it, and browsers: the whole of a login on
// loopback. The clock of the login is the test's own, ahead of everybody else's by as much as it says.

import { DeadlineWheel } from "../../src/core/deadlines.ts";
import { createOidcFeature } from "../../src/features/oidc/index.ts";
import { oidcOptions } from "../../src/features/oidc/options.ts";
import { FailedAttempts } from "../../src/identity/failed-attempts.ts";
import { createProxy, type EmbeddedProxy, type Feature } from "../../src/index.ts";
import { createFetch } from "../../src/io/fetch.ts";
import { MemorySessionStore } from "../../src/testing/index.ts";
import { Browser, type Page } from "./browser.ts";
import {
  CLIENT_ID,
  CLIENT_SECRET,
  type ClientOptions,
  OpenIdProvider,
  type ProviderOptions,
} from "./openid-provider.ts";
import { Origin } from "./origin.ts";
import { ShiftedClock } from "./shifted-clock.ts";

export const KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

export interface OidcStageOptions {
  /** Over those of the stage. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** A second route at /other with these over the first one's. */
  readonly other?: Readonly<Record<string, unknown>>;
  readonly client?: Partial<ClientOptions>;
  readonly provider?: Partial<Omit<ProviderOptions, "client">>;
  /** Sessions in a store that tests can look at. */
  readonly isStored?: boolean;
  /** Features behind the login. */
  readonly behind?: readonly Feature[];
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca: string };
}

export class OidcStage {
  readonly provider: OpenIdProvider;
  readonly origin: Origin;
  readonly clock: ShiftedClock;
  readonly store: MemorySessionStore;
  readonly attempts: FailedAttempts;
  /** Errors of exchanges, in order, as the log would have them. */
  readonly errors: { readonly reason: string | null; readonly status: number; readonly text: string }[];
  /** Targets of all exchanges that are over, as an access log would write them. */
  readonly targets: string[];
  readonly #proxy: EmbeddedProxy;
  readonly #options: OidcStageOptions;

  private constructor(
    proxy: EmbeddedProxy,
    options: OidcStageOptions,
    parts: Pick<OidcStage, "provider" | "origin" | "clock" | "store" | "attempts" | "errors" | "targets">,
  ) {
    this.#proxy = proxy;
    this.#options = options;
    this.provider = parts.provider;
    this.origin = parts.origin;
    this.clock = parts.clock;
    this.store = parts.store;
    this.attempts = parts.attempts;
    this.errors = parts.errors;
    this.targets = parts.targets;
  }

  static async start(options: OidcStageOptions = {}): Promise<OidcStage> {
    const provider = await OpenIdProvider.start();
    const origin = await Origin.start((request, response) => {
      response.setHeader("content-type", "text/plain");
      response.end(`the origin's ${request.url}`);
    });
    const clock = new ShiftedClock();
    const store = new MemorySessionStore(clock);
    const attempts = new FailedAttempts(clock);
    const errors: OidcStage["errors"] = [];
    const targets: string[] = [];
    const ports = {
      clock,
      deadlines: new DeadlineWheel(clock),
      attempts,
      fetchFor: () => createFetch({ ca: null }),
      sessions: () => store,
      kept: <T>(_kind: string, _options: unknown, make: () => T) => make(),
    };
    const ofAll = {
      issuer: provider.issuer,
      clientId: CLIENT_ID,
      ...(options.client?.secret !== null && { clientSecret: CLIENT_SECRET }),
      key: KEY,
      claims: { "x-user": "email", "x-groups": "groups" },
      ...(options.isStored === true && { session: { store: "memory" } }),
      ...options.options,
    };
    const feature = createOidcFeature(oidcOptions.parse(ofAll), ports);
    const log: Feature = {
      name: "log of the test",
      log: ({ error, request }) => {
        targets.push(request.receivedTarget);
        if (error !== null) errors.push(noted(error));
      },
    };
    const use = [log, feature, ...(options.behind ?? [])];
    const other =
      options.other === undefined ? null : createOidcFeature(oidcOptions.parse({ ...ofAll, ...options.other }), ports);
    const tls = options.tls === undefined ? null : { certificates: [{ cert: options.tls.cert, key: options.tls.key }] };
    const proxy = createProxy({
      log: { level: "silent", access: "off" },
      servers: {
        web: {
          listen: tls === null ? "127.0.0.1:0" : { address: "127.0.0.1:0", tls },
          routes: [
            ...(other === null ? [] : [{ match: { path: "/other/*" }, use: [log, other], proxy: origin.url }]),
            { use, proxy: origin.url },
          ],
        },
      },
    });
    await proxy.listen();
    const stage = new OidcStage(proxy, options, { provider, origin, clock, store, attempts, errors, targets });
    stage.configureProvider();
    return stage;
  }

  /** The provider, anew: with other keys, and without memory. */
  configureProvider(): void {
    const client = {
      redirectUris: [`${this.url}/oauth2/callback`, `${this.url}/other/callback`],
      postLogoutUris: [`${this.url}/bye`],
      ...(this.#options.isStored === true && { backchannelUri: `${this.url}/oauth2/backchannel` }),
      ...this.#options.client,
    };
    this.provider.configure({ ...this.#options.provider, client });
  }

  get url(): string {
    const { address, isTls } = this.#proxy.listening[0]!;
    return `${isTls ? "https" : "http"}://127.0.0.1:${address.port}`;
  }

  browser(): Browser {
    return new Browser(this.#options.tls?.ca);
  }

  /** A browser that is logged in and has been where it wanted to go. */
  async loggedIn(path = "/start?a=1"): Promise<{ browser: Browser; page: Page }> {
    const browser = this.browser();
    const page = await browser.visit(this.url + path);
    return { browser, page };
  }

  /** What the origin was last told. */
  get told(): Readonly<Record<string, string | string[] | undefined>> {
    return this.origin.asked.at(-1)!.headers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy.close({ timeoutMs: 0 });
    await this.provider[Symbol.asyncDispose]();
    await this.origin[Symbol.asyncDispose]();
  }
}

function noted(error: {
  readonly reason: string | null;
  readonly status: number;
  readonly message: string;
  readonly cause?: unknown;
}) {
  const texts: string[] = [error.message];
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) texts.push(cause.message);
  return { reason: error.reason, status: error.status, text: texts.join(": ") };
}

/** What a script of a page asks. */
export const SCRIPT = {
  headers: { accept: "application/json", "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin" },
};
