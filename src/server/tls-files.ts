/** The certificates, keys and authorities that a configuration names. Each that cannot be used is told with its place in the configuration. */
import type { Config, ListenTlsConfig } from "../config/config.ts";
import type { RedisStoreConfig, StoreConfig } from "../identity/stores/options.ts";
import { FileTexts } from "../io/file-texts.ts";
import type { ListenTls } from "../io/net/listen-tls.ts";
import { type LoadedCertificate, loadAuthorities, loadCertificate, PemError } from "../io/tls/pem.ts";
import type { UpstreamConfig } from "../upstreams/options.ts";
import { type FileProblem, unlessKept } from "./file-problem.ts";
import type { SetupProblem } from "./setup-error.ts";

/** What the TLS options of an upstream or a store name, as paths or as PEM texts; null where they name nothing. */
export interface DialFiles {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/** Of a configuration, what may name files. */
export type NamesTlsFiles = Pick<Config, "servers" | "upstreams" | "stores" | "caches">;

export class TlsFiles {
  readonly #pairs = new Map<string, LoadedCertificate>();
  readonly #authorities = new Map<string, string>();
  readonly #before: TlsFiles;
  readonly #texts: FileTexts;
  /** Of files that cannot be used now and have here what they held before. */
  readonly problems: FileProblem[] = [];

  constructor(before: TlsFiles | null = null, texts = new FileTexts()) {
    this.#texts = texts;
    // Without one, what could not be read is nowhere.
    this.#before = before ?? this;
  }

  /** The files that a configuration names. */
  static pathsOf(config: Config): readonly string[] {
    const ofListeners = config.servers.flatMap(({ listen }) => listen.flatMap(({ tls }) => tls?.certificates ?? []));
    const ofClients = config.servers.flatMap(({ listen }) => listen.map(({ tls }) => tls?.clientAuth?.ca ?? null));
    const ofUpstreams = config.upstreams.filter(speaksTls).map(({ tls }) => tls);
    const ofForwards = config.servers.flatMap(({ forward }) =>
      forward === null ? [] : [forward.originCa, ...forward.via.map((rule) => (rule === "direct" ? null : rule.ca))],
    );
    const ofStores = storesOf(config).flatMap((store) => tlsOfStore(store) ?? []);
    const ofAll = [...ofListeners.map((pair) => ({ ...pair, ca: null })), ...ofUpstreams, ...ofStores];
    const paths = ofAll.flatMap((named) => [named.cert, named.key, named.ca]);
    return [...new Set([...paths, ...ofClients, ...ofForwards].filter((path) => path !== null))];
  }

  /** Rejects with a SetupError that names every file that cannot be used; those that `before` has are kept as they were there. */
  static async load(config: NamesTlsFiles, before: TlsFiles | null = null, texts?: FileTexts): Promise<TlsFiles> {
    const files = new TlsFiles(before, texts);
    for (const { name, listen } of config.servers) {
      for (const [index, { tls }] of listen.entries()) {
        for (const [at, { cert, key }] of tls?.certificates.entries() ?? []) {
          const place = ["servers", name, "listen", index, "tls", "certificates", at];
          await files.#loadPair(cert, key, place);
        }
        const place = ["servers", name, "listen", index, "tls", "clientAuth"];
        if (tls !== null && tls.clientAuth !== null) await files.#loadAuthorities(tls.clientAuth.ca, place);
      }
    }
    for (const { name, forward } of config.servers) {
      const ca = forward?.originCa ?? null;
      if (ca !== null) await files.#loadAuthorities(ca, ["servers", name, "forward", "tls"]);
      for (const [index, rule] of forward?.via.entries() ?? []) {
        if (rule === "direct" || rule.ca === null) continue;
        await files.#loadAuthorities(rule.ca, ["servers", name, "forward", "via", index, "tls"]);
      }
    }
    for (const upstream of config.upstreams.filter(speaksTls)) {
      await files.#loadDialFiles(upstream.tls, placeOfUpstreamTls(config, upstream));
    }
    for (const store of storesOf(config)) {
      const tls = tlsOfStore(store);
      if (tls !== null) await files.#loadDialFiles(tls, ["stores", store.name, "tls"]);
    }
    unlessKept(files.problems);
    return files;
  }

  forListener({ certificates, minVersion, clientAuth }: ListenTlsConfig): ListenTls {
    const texts = certificates.map(({ cert, key }) => {
      const loaded = this.#pairs.get(pairKey(cert, key))!;
      return { cert: loaded.cert, key: loaded.key };
    });
    if (clientAuth === null) return { certificates: texts, minVersion, clientAuth };
    const ca = this.#authorities.get(clientAuth.ca)!;
    return { certificates: texts, minVersion, clientAuth: { ca, isRequired: clientAuth.mode === "required" } };
  }

  /** PEM text of a file of authorities. */
  authorities(path: string): string | null {
    return this.#authorities.get(path) ?? null;
  }

  forUpstream({ ca, cert, key }: DialFiles): DialFiles {
    const pair = cert === null || key === null ? undefined : this.#pairs.get(pairKey(cert, key));
    return {
      ca: ca === null ? null : (this.#authorities.get(ca) ?? null),
      cert: pair?.cert ?? null,
      key: pair?.key ?? null,
    };
  }

  /** Certificates that work and soon will not, and the like, at that time of the wall clock. */
  warningsAt(wallMs: number): readonly string[] {
    return [...this.#pairs.values()].flatMap((pair) => pair.warningsAt(wallMs));
  }

  async #loadDialFiles({ ca, cert, key }: DialFiles, place: SetupProblem["path"]): Promise<void> {
    if (ca !== null) await this.#loadAuthorities(ca, place);
    if (cert !== null && key !== null) await this.#loadPair(cert, key, place);
  }

  async #loadPair(cert: string, key: string, place: SetupProblem["path"]): Promise<void> {
    const id = pairKey(cert, key);
    if (this.#pairs.has(id)) return;
    try {
      const loaded = await loadCertificate(cert, key, this.#texts);
      this.#pairs.set(id, loaded);
    } catch (error) {
      const kept = this.#before.#pairs.get(id);
      if (kept !== undefined) this.#pairs.set(id, kept);
      this.#fail(error, [cert, key], kept !== undefined, (path) => [...place, path === cert ? "cert" : "key"]);
    }
  }

  async #loadAuthorities(ca: string, place: SetupProblem["path"]): Promise<void> {
    if (this.#authorities.has(ca)) return;
    try {
      this.#authorities.set(ca, await loadAuthorities(ca, this.#texts));
    } catch (error) {
      const kept = this.#before.#authorities.get(ca);
      if (kept !== undefined) this.#authorities.set(ca, kept);
      this.#fail(error, [ca], kept !== undefined, () => [...place, "ca"]);
    }
  }

  #fail(
    error: unknown,
    files: readonly string[],
    isKept: boolean,
    place: (path: string) => SetupProblem["path"],
  ): void {
    if (!(error instanceof PemError)) throw error;
    this.problems.push({ path: place(error.path), message: error.message, files, isKept });
  }
}

function speaksTls({ servers }: UpstreamConfig): boolean {
  return servers.some(({ scheme }) => scheme === "https");
}

/** Those of features, and those that caches are shared by. */
function storesOf({ stores, caches }: NamesTlsFiles): readonly StoreConfig[] {
  return [...stores, ...caches.flatMap(({ shared }): RedisStoreConfig[] => (shared === null ? [] : [shared]))];
}

function tlsOfStore(store: StoreConfig): DialFiles | null {
  return store.kind === "redis" ? store.tls : null;
}

function pairKey(cert: string, key: string): string {
  return `${cert}\0${key}`;
}

/**
 * Where the options of a pool stand: in `upstreams`, or in the first route that has it of its own, as its target or in a
 * feature.
 */
function placeOfUpstreamTls(config: NamesTlsFiles, upstream: UpstreamConfig): SetupProblem["path"] {
  for (const server of config.servers) {
    for (const [index, { name, action, use }] of server.routes.entries()) {
      if (!/[:#]/.test(upstream.name)) continue;
      const place = ["servers", server.name, ...(name === server.name ? [] : ["routes", index])];
      if (action.kind === "proxy" && action.upstream === upstream.name) return [...place, "proxy", "tls"];
      const at = use.findIndex((item) => item.feature === "forwardAuth" && item.upstream === upstream.name);
      if (at >= 0) return [...place, "use", at, "forwardAuth", "tls"];
    }
  }
  return ["upstreams", upstream.name, "tls"];
}
