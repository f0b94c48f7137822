/**
 * Whether passwords are right, with a memory: a verification takes a core for a tenth of a second or more, so what is known is not
 * computed again, and only so many are computed at once. What is remembered is a fact, that this password is or is not that
 * of this hash; no change of users makes it untrue, so it needs no end but that of its time.
 *
 * Neither passwords nor hashes are kept, but a digest of both with a secret that never leaves this object. Since digests do not
 * leave the process either, a secret in front does what HMAC would, for a sixth of its time.
 */
import { hash as digestOf, randomBytes } from "node:crypto";
import type { Clock, PasswordHasher } from "../core/ports.ts";
import { ShortMemory } from "./short-memory.ts";

/** Right ones and wrong ones each, so that who guesses cannot push out who is known. About a megabyte. */
const REMEMBERED_MAX = 4096;
/** What a memory image could tell is an hour old at most; and a user costs one verification an hour. */
const REMEMBERED_MS = 3_600_000;
/** Node has four threads for names, files and this, shared by all workers: a worker takes one of them. */
const AT_ONCE_MAX = 1;
/** Those that wait behind it take seconds; a client that comes after them is better told to come again. */
const WAITING_MAX = 32;

export class PasswordChecks {
  readonly #hasher: PasswordHasher;
  readonly #secret = randomBytes(32).toString("hex");
  readonly #right: ShortMemory;
  readonly #wrong: ShortMemory;
  /** Simultaneous equal questions are one. */
  readonly #underWay = new Map<string, Promise<boolean>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(hasher: PasswordHasher, clock: Clock) {
    this.#hasher = hasher;
    this.#right = new ShortMemory(clock, REMEMBERED_MAX, REMEMBERED_MS);
    this.#wrong = new ShortMemory(clock, REMEMBERED_MAX, REMEMBERED_MS);
  }

  /** The name under which the answer is remembered. */
  digest(hash: string, password: Buffer): string {
    // A hash has no NUL, so no two pairs give the same text.
    return digestOf("sha256", `${this.#secret}${hash}\0${password.toString("latin1")}`, "base64");
  }

  /** What is known already; null: `verify` must be asked. */
  known(digest: string): boolean | null {
    if (this.#right.has(digest)) return true;
    return this.#wrong.has(digest) ? false : null;
  }

  /** Whether somebody waits for the answer already, so that another question costs nothing. */
  isUnderWay(digest: string): boolean {
    return this.#underWay.has(digest);
  }

  /** null: too many wait already. `digest` is that of hash and password. */
  verify(digest: string, hash: string, password: Buffer): Promise<boolean> | null {
    const underWay = this.#underWay.get(digest);
    if (underWay !== undefined) return underWay;
    if (this.#waiting.length >= WAITING_MAX) return null;
    const verified = this.#verify(digest, hash, password).finally(() => this.#underWay.delete(digest));
    this.#underWay.set(digest, verified);
    return verified;
  }

  async #verify(digest: string, hash: string, password: Buffer): Promise<boolean> {
    if (this.#running >= AT_ONCE_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      const isRight = await this.#hasher.verify(hash, password);
      (isRight ? this.#right : this.#wrong).add(digest);
      return isRight;
    } finally {
      // The place goes to who waits longest; nobody can come in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
