/**
 * The certificates that intercepted hosts are served with: from memory at once, else from the store, else made. However many ask
 * for a host at the same time, one is made. What the store holds is believed only if it is what this authority would
 * issue now: by its key, for this host, in its time, with the key that belongs to it.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { ProxyError } from "../../core/errors.ts";
import type { Clock, LeafStore } from "../../core/ports.ts";
import { GenerationCache } from "../../identity/tokens/generation-cache.ts";
import { notCertified } from "../refusal.ts";
import { type Authority, LEAF_LIFE_MS, type Leaf } from "./authority.ts";
import { type LeafName, leafNameOf } from "./leaf-names.ts";

/**
 * In memory, of one thread: some 4 KiB of text each, and up to twice as many with those that nobody has asked for lately. A build
 * farm speaks to hundreds of hosts, a browser in a day to as many. What TLS makes of them is larger, and has its own limit.
 */
export const LEAVES_MAX = 1_000;
/** RFC 1035 section 2.3.4: no key is longer. */
const HOST_CHARACTERS_MAX = 253;
/** Of a leaf's life, at its end: another one is made, so that no client with a clock that is fast meets the end of one. */
const REFRESH_SHARE = 0.25;

export interface LeafSurroundings {
  /** null: what is made is kept in memory only. */
  readonly store: LeafStore | null;
  readonly clock: Clock;
  /** A sentence for the log. */
  readonly tell: (message: string) => void;
}

/** What leaves need of an authority. */
export type LeafIssuer = Pick<Authority, "certificate" | "permits" | "issue">;

interface Kept {
  readonly leaf: Leaf;
  readonly refreshAtMs: number;
}

export class LeafCertificates {
  readonly #authority: LeafIssuer;
  readonly #surroundings: LeafSurroundings;
  readonly #kept = new GenerationCache<Kept>(LEAVES_MAX, LEAVES_MAX * HOST_CHARACTERS_MAX);
  readonly #coming = new Map<string, Promise<Leaf>>();
  readonly #writing = new Set<Promise<void>>();
  #isStoreTroubled = false;

  constructor(authority: LeafIssuer, surroundings: LeafSurroundings) {
    this.#authority = authority;
    this.#surroundings = surroundings;
  }

  /** What is known here and now, for a host in the spelling of `LeafName`; null: `leafFor` must be asked. */
  peek(host: string): Leaf | null {
    const kept = this.#kept.get(host);
    return kept !== undefined && kept.refreshAtMs > this.#surroundings.clock.wallMs() ? kept.leaf : null;
  }

  /** For a DNS name or an IP address, with or without brackets. Rejects with a ProxyError. */
  leafFor(host: string): Promise<Leaf> {
    const name = leafNameOf(host);
    if (name === null) return Promise.reject(noName(host));
    const known = this.peek(name.text);
    if (known !== null) return Promise.resolve(known);
    let coming = this.#coming.get(name.text);
    if (coming === undefined) {
      coming = this.#find(name).finally(() => this.#coming.delete(name.text));
      this.#coming.set(name.text, coming);
    }
    return coming;
  }

  /** Why there will be no leaf for a host, as far as that is known before one is asked for. */
  refusalOf(host: string): ProxyError | null {
    if (this.peek(host) !== null) return null;
    const name = leafNameOf(host);
    return name === null ? noName(host) : this.#refusalOf(name);
  }

  /** Resolves when the store has been given what was made so far. */
  async written(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #find(name: LeafName): Promise<Leaf> {
    const { store, clock } = this.#surroundings;
    const refusal = this.#refusalOf(name);
    if (refusal !== null) throw refusal;
    const stored = store === null ? null : this.#judge(name, await store.read(name.text));
    if (stored !== null) return this.#keep(name, stored);
    const leaf = await this.#authority.issue(name, clock.wallMs());
    // Nobody waits for the disk: the next run does without, if it must.
    if (store !== null) {
      const writing = this.#write(store, name, leaf).finally(() => this.#writing.delete(writing));
      this.#writing.add(writing);
    }
    return this.#keep(name, leaf);
  }

  /** Why no client would take what the authority could issue. */
  #refusalOf(name: LeafName): ProxyError | null {
    const { notAfterMs } = this.#authority.certificate;
    if (notAfterMs <= this.#surroundings.clock.wallMs()) {
      return notCertified("ca_expired", "the CA of interception has expired");
    }
    if (this.#authority.permits(name)) return null;
    return notCertified("ca_may_not_certify", `the CA of interception may not certify ${name.text}`);
  }

  #keep(name: LeafName, leaf: Leaf): Leaf {
    this.#kept.set(name.text, { leaf, refreshAtMs: this.#refreshAtMs(leaf.notAfterMs) });
    return leaf;
  }

  /** What ends with the CA cannot be had with a later end. */
  #refreshAtMs(notAfterMs: number): number {
    const isLast = notAfterMs >= this.#authority.certificate.notAfterMs;
    return isLast ? notAfterMs : notAfterMs - REFRESH_SHARE * LEAF_LIFE_MS;
  }

  /** null: it is damaged, of another CA or another host, or it is time for another one. */
  #judge({ kind, text }: LeafName, pem: string | null): Leaf | null {
    const keyAt = pem?.indexOf("-----BEGIN PRIVATE KEY-----") ?? -1;
    if (pem === null || keyAt < 0) return null;
    const { certificate: authority } = this.#authority;
    const leaf = { cert: pem.slice(0, keyAt), key: pem.slice(keyAt) };
    if (!leaf.cert.endsWith(authority.chain)) return null;
    try {
      const own = new X509Certificate(leaf.cert);
      const isFor = kind === "ip" ? own.checkIP(text) : own.checkHost(text, { subject: "never", wildcards: false });
      const notAfterMs = own.validToDate.getTime();
      const wallMs = this.#surroundings.clock.wallMs();
      const isInTime = own.validFromDate.getTime() <= wallMs && this.#refreshAtMs(notAfterMs) > wallMs;
      const isOurs = own.checkIssued(authority.x509) && own.verify(authority.x509.publicKey);
      const isUsable = isFor !== undefined && isInTime && isOurs && own.checkPrivateKey(createPrivateKey(leaf.key));
      return isUsable ? { ...leaf, notAfterMs } : null;
    } catch {
      return null;
    }
  }

  async #write(store: LeafStore, { text }: LeafName, { cert, key }: Leaf): Promise<void> {
    try {
      await store.write(text, cert + key);
      this.#isStoreTroubled = false;
    } catch (error) {
      if (this.#isStoreTroubled) return;
      this.#isStoreTroubled = true;
      this.#surroundings.tell(`certificates of intercepted hosts cannot be kept: ${(error as Error).message}`);
    }
  }
}

function noName(host: string): ProxyError {
  const words = `no certificate can be made for ${JSON.stringify(host.slice(0, 100))}: it is no name of a host`;
  return new ProxyError("http_request_error", words);
}
