/**
 * What an operator does to the sessions of a store: looks at them, writes one as a login would, ends it. It speaks to the store
 * itself, whether a proxy runs or not, keeps nothing in memory, and shows what is encrypted only to who has the key.
 */
import { existsSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { filesBeside } from "../config/load.ts";
import { nearest } from "../config/problems.ts";
import { keyDigitsOf, parseWithFiles } from "../core/option-files.ts";
import { parseDuration } from "../core/option-types.ts";
import type { SessionStore } from "../core/ports.ts";
import { KeyRing, open, seal } from "../identity/envelope.ts";
import { ENVELOPE_ALGORITHMS } from "../identity/options.ts";
import { isStoreUrl, type StoreByUrl, type StoreConfig, storeReference } from "../identity/stores/options.ts";
import { openStore } from "./open-store.ts";
import { clock, random } from "./surroundings.ts";
import { TlsFiles } from "./tls-files.ts";

/** What cannot be done, in a line for the operator. */
export class SessionError extends Error {}

/** What `put` writes into the envelope. */
export type Credentials =
  | { readonly kind: "basic" /** "user:password" */; readonly text: string }
  | { readonly kind: "bearer"; readonly text: string }
  | { readonly kind: "json" /** An object, for fields of any name. */; readonly text: string };

export interface ShownSession {
  readonly key: string;
  /** null: it has no end. */
  readonly leftMs: number | null;
  /** What its value is, without a secret. */
  readonly description: string;
  /** What was encrypted; null without the key, or when there is nothing. */
  readonly credentials: string | null;
}

/**
 * The store that a URL names, or a name of the configuration; null when it is a folder that is not there, and is not to be made.
 * Rejects with a SessionError or a SetupError.
 */
export async function openOperated(
  reference: string,
  config: Config | null,
  makesIt: boolean,
): Promise<SessionOperator | null> {
  const store = isStoreUrl(reference) ? ofUrl(reference) : ofName(reference, config);
  if (store.kind === "lmdb" && !makesIt && !existsSync(store.path)) return null;
  const files = await TlsFiles.load({ ...NOTHING, stores: [store] });
  const tls = store.kind === "redis" && store.tls !== null ? files.forUpstream(store.tls) : NO_FILES;
  const opened = await openStore(withoutMemory(store), tls, { clock, random, tell() {} });
  return new SessionOperator(store, opened.store);
}

const NOTHING = { servers: [], upstreams: [], caches: [] };
const NO_FILES = { ca: null, cert: null, key: null };

function ofUrl(url: string): StoreConfig {
  const parsed = parseWithFiles(filesBeside("here"), () => storeReference().safeParse(url));
  if (!parsed.success) throw new SessionError(`--store: ${parsed.error.issues[0]!.message}`);
  const { name, settings } = parsed.data as StoreByUrl;
  return { ...settings, name };
}

function ofName(name: string, config: Config | null): StoreConfig {
  const stores = config?.stores ?? [];
  const store = stores.find((one) => one.name === name);
  if (store !== undefined) return store;
  const suggestion = nearest(
    name,
    stores.map((one) => one.name),
  );
  const hint = suggestion === null ? "" : `; did you mean "${suggestion}"?`;
  throw new SessionError(`no store has the name ${JSON.stringify(name)}${hint}`);
}

/** An operator would rather wait than ask again. */
const PATIENCE_MS = 10_000;

/** Every answer is asked for: what an operator sees is what is there. */
function withoutMemory(store: StoreConfig): StoreConfig {
  return store.kind === "lmdb"
    ? store
    : {
        ...store,
        tracking: "off",
        cacheEntriesMax: 0,
        graceMs: null,
        connectTimeoutMs: Math.max(store.connectTimeoutMs, PATIENCE_MS),
        commandTimeoutMs: Math.max(store.commandTimeoutMs, PATIENCE_MS),
      };
}

/** Everything rejects with a SessionError. */
export class SessionOperator {
  readonly name: string;
  readonly #store: SessionStore;

  constructor(config: StoreConfig, store: SessionStore) {
    this.name = config.name;
    this.#store = store;
  }

  /** Writes exactly `{"v":1,"credentials":ENVELOPE}`. */
  async put(key: string, credentials: Credentials, encryptionKey: string, ttlMs: number | null): Promise<void> {
    checkCredentials(credentials);
    if (!key.isWellFormed() || !credentials.text.isWellFormed()) throw new SessionError("what is put must be text");
    const ring = new KeyRing([{ algorithm: "aes-256-gcm", key: encryptionKey }]);
    const envelope = seal(ring, credentials.text, key);
    await this.#asked(this.#store.put(key, JSON.stringify({ v: 1, credentials: envelope }), ttlMs));
  }

  /** null: there is none. `decryptionKeys` are those that may open the envelope; without any, no secret is shown. */
  async get(key: string, decryptionKeys: readonly string[]): Promise<ShownSession | null> {
    const record = await this.#asked(this.#store.get(key));
    if (record === null) return null;
    const leftMs = record.expiresMs === Number.POSITIVE_INFINITY ? null : Math.max(0, record.expiresMs - clock.now());
    return { key, leftMs, ...describe(key, record.value, decryptionKeys) };
  }

  delete(key: string): Promise<boolean> {
    return this.#asked(this.#store.delete(key));
  }

  async *list(prefix: string): AsyncGenerator<{ readonly key: string; readonly ttlMs: number | null }> {
    const keys = this.#store.list(prefix)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#asked(keys.next());
      if (next.done === true) return;
      yield next.value;
    }
  }

  close(): Promise<void> {
    return this.#store.close();
  }

  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof RangeError) throw new SessionError(error.message);
      const { cause, message } = error as Error;
      throw new SessionError(`${this.name}: ${cause instanceof Error ? cause.message : message}`);
    }
  }
}

/** RFC 6750 section 2.1. */
const BEARER_TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;
/** RFC 7617 section 2: no control characters, and no colon in the user's name. */
const USER_PASSWORD = /^[^:\p{Cc}]*:[^\p{Cc}]*$/u;

/** What could never be sent to an upstream is not put. Messages do not show it. */
function checkCredentials({ kind, text }: Credentials): void {
  if (kind === "basic" && !USER_PASSWORD.test(text)) {
    throw new SessionError("--basic: expected USER:PASSWORD without control characters");
  }
  if (kind === "bearer" && !BEARER_TOKEN.test(text)) throw new SessionError("--bearer: expected a token");
  if (kind === "json" && membersOf(text) === null) throw new SessionError("--json: expected an object");
}

function describe(key: string, value: string, decryptionKeys: readonly string[]) {
  const record = membersOf(value);
  if (record === null)
    return { description: `text of ${Buffer.byteLength(value)} bytes, no session record`, credentials: null };
  const { v, credentials } = record;
  if (v !== 1 || typeof credentials !== "string") {
    return {
      description: `JSON with ${Object.keys(record).join(", ") || "no members"}, no record of version 1`,
      credentials: null,
    };
  }
  const id = Buffer.from(credentials, "base64url").subarray(1, 5).toString("hex");
  const description = `a session record of version 1, encrypted with the key ${id}`;
  if (decryptionKeys.length === 0) return { description, credentials: null };
  const keys = [...new Set(decryptionKeys)].flatMap((one) =>
    ENVELOPE_ALGORITHMS.map((algorithm) => ({ algorithm, key: one })),
  );
  const opened = open(new KeyRing(keys), credentials, key);
  if (opened === null)
    throw new SessionError("the credentials cannot be decrypted with the key, or are those of another session");
  return { description, credentials: opened };
}

function membersOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

/** A key of 256 bits from a file, in hexadecimal digits. Throws a SessionError. */
export function readKeyFile(flag: string, file: string): string {
  let digits: string | null;
  try {
    const files = filesBeside("here");
    digits = keyDigitsOf(files.readSecretBytes(files.resolvePath(file)));
  } catch (error) {
    throw new SessionError(`${flag}: cannot read ${file}: ${(error as Error).message}`);
  }
  if (digits === null)
    throw new SessionError(
      `${flag}: ${file} has no key of 256 bits: 64 hexadecimal digits, base64 of 32 bytes, or 32 bytes as they are`,
    );
  return digits;
}

/** Milliseconds of "8h". Throws a SessionError. */
export function readTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms === 0)
    throw new SessionError(`--ttl: expected a duration such as 8h, got ${JSON.stringify(text)}`);
  return ms;
}

/** "7h 59m" of what is left, "no end" of null. */
export function leftText(ms: number | null): string {
  if (ms === null) return "no end";
  const seconds = Math.ceil(ms / 1000);
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "m"],
    [1, "s"],
  ] as const;
  const at = Math.max(
    0,
    units.findIndex(([size]) => seconds >= size),
  );
  const [size, unit] = units[at]!;
  const next = units[at + 1];
  const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[0]);
  return `${Math.floor(seconds / size)}${unit}${rest > 0 ? ` ${rest}${next![1]}` : ""}`;
}
