// What every session store must do: one suite for all of them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SESSION_KEY_BYTES_MAX, SESSION_VALUE_BYTES_MAX } from "../../src/core/limits.ts";
import type { SessionStore } from "../../src/core/ports.ts";
import { until } from "../support/redis.ts";

export interface StoreUnderTest {
  readonly store: SessionStore;
  /** Lets this much time pass for the store. */
  pass(ms: number): Promise<void>;
  /** The clock that its records' expiry is on. */
  now(): number;
}

export async function keysOf(store: SessionStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

/** `open` gives the same empty or used store each time; it is closed by the last test. */
export function sessionStoreContract(name: string, open: () => StoreUnderTest): void {
  const it = (what: string, run: (under: StoreUnderTest) => Promise<void>): void => {
    test(`${name}: ${what}`, () => run(open()));
  };

  it("what was put is found, until it is deleted", async ({ store }) => {
    assert.equal(await store.get("a"), null);
    await store.put("a", "one", null);
    assert.deepEqual(await textUnder(store, "a"), "one");
    assert.equal((await store.get("a"))!.expiresMs, Number.POSITIVE_INFINITY);
    await store.put("a", "two", null);
    assert.equal(await textUnder(store, "a"), "two");
    assert.equal(await store.delete("a"), true);
    assert.equal(await store.get("a"), null);
    assert.equal(await store.delete("a"), false);
  });

  it("peek says what get has said, or that get must be asked", async ({ store }) => {
    await store.put("peeked", "value", null);
    const record = await store.get("peeked");
    const peeked = store.peek("peeked");
    assert.ok(peeked === undefined || peeked === record, "the same object");
    await store.delete("peeked");
    assert.ok([null, undefined].includes(store.peek("peeked") as null));
    assert.equal(await store.get("peeked"), null);
    assert.ok([null, undefined].includes(store.peek("peeked") as null));
  });

  it("a record ends when its time is over, and says when", async ({ store, pass, now }) => {
    let before: number;
    let record: Awaited<ReturnType<typeof store.get>>;
    // Where the machine has other things to do, it may be gone before it is asked for.
    do {
      before = now();
      await store.put("short", "gone soon", 60);
      record = await store.get("short");
    } while (record === null);
    assert.ok(record.expiresMs <= now() + 60, "not after the key");
    assert.ok(record.expiresMs >= before, String(record.expiresMs - before));
    await pass(61);
    assert.ok([null, undefined].includes(store.peek("short") as null));
    assert.equal(await store.get("short"), null);
    assert.equal(await store.delete("short"), false);
    assert.deepEqual(await keysOf(store, "short"), []);
  });

  it("a new time takes the place of the old one", async ({ store, pass }) => {
    await store.put("renewed", "1", 60);
    await store.put("renewed", "2", 3_600_000);
    await pass(61);
    assert.equal(await textUnder(store, "renewed"), "2");
    await store.put("renewed", "3", null);
    assert.equal((await store.get("renewed"))!.expiresMs, Number.POSITIVE_INFINITY);
    await store.delete("renewed");
  });

  it("any text is a key and a value, byte for byte", async ({ store }) => {
    const texts = [
      "a b",
      "a\0b",
      "\r\n$3\r\n",
      "héadgate",
      "🔑",
      '{"v":1}',
      "*",
      "[a-z]?",
      "\\",
      "\u0001",
      "{tag}x",
      "{}",
    ];
    for (const text of texts) await store.put(`text:${text}`, text, null);
    for (const text of texts) assert.equal(await textUnder(store, `text:${text}`), text, JSON.stringify(text));
    assert.deepEqual(await keysOf(store, "text:"), texts.map((text) => `text:${text}`).sort());
    for (const text of texts) assert.equal(await store.delete(`text:${text}`), true, JSON.stringify(text));
    await store.put("empty", "", null);
    assert.equal(await textUnder(store, "empty"), "");
    await store.delete("empty");
  });

  it("lists what begins with a prefix, each once, with what is left", async ({ store }) => {
    const keys = Array.from({ length: 600 }, (_, index) => `list:${index}`);
    await Promise.all(keys.map((key) => store.put(key, "v", key.endsWith("7") ? 3_600_000 : null)));
    await store.put("lisT:0", "another", null);
    await store.put("list*", "no pattern", null);
    const listed = new Map<string, number | null>();
    for await (const { key, ttlMs } of store.list("list:")) {
      assert.ok(!listed.has(key), key);
      listed.set(key, ttlMs);
    }
    assert.deepEqual([...listed.keys()].sort(), keys.sort());
    for (const [key, ttlMs] of listed) {
      if (key.endsWith("7")) assert.ok(ttlMs! > 3_500_000 && ttlMs! <= 3_600_000, `${key} ${ttlMs}`);
      else assert.equal(ttlMs, null);
    }
    assert.deepEqual(await keysOf(store, "list*"), ["list*"]);
    assert.ok((await keysOf(store, "")).includes("lisT:0"));
    await Promise.all([...keys, "lisT:0", "list*"].map((key) => store.delete(key)));
    assert.deepEqual(await keysOf(store, "lis"), []);
  });

  it("takes what is within the limits and nothing beyond", async ({ store }) => {
    const key = "k".repeat(SESSION_KEY_BYTES_MAX);
    const value = "v".repeat(SESSION_VALUE_BYTES_MAX);
    await store.put(key, value, null);
    assert.equal(await textUnder(store, key), value);
    await store.delete(key);
    const wide = "é".repeat(SESSION_KEY_BYTES_MAX / 2);
    await store.put(wide, "é".repeat(SESSION_VALUE_BYTES_MAX / 2), null);
    assert.equal((await textUnder(store, wide))?.length, SESSION_VALUE_BYTES_MAX / 2);
    await store.delete(wide);
    for (const tooMuch of [`${key}k`, `${wide}é`, "", "\ud800"]) {
      await assert.rejects(store.put(tooMuch, "v", null), RangeError);
      // Keys to ask for come from tokens: what cannot be there is not there.
      assert.equal(await store.get(tooMuch), null);
      assert.equal(await store.delete(tooMuch), false);
    }
    for (const tooMuch of [`${value}v`, "\udc00"]) await assert.rejects(store.put("k", tooMuch, null), RangeError);
    for (const ttl of [0, -1, Number.NaN]) await assert.rejects(store.put("k", "v", ttl), RangeError);
    assert.equal(await store.get("k"), null);
  });

  it("many look-ups at once, of the same and of other keys", async ({ store }) => {
    await Promise.all(Array.from({ length: 100 }, (_, index) => store.put(`many:${index}`, `v${index}`, null)));
    const asked = Array.from({ length: 1000 }, (_, index) => store.get(`many:${index % 100}`));
    for (const [index, record] of (await Promise.all(asked)).entries()) assert.equal(record?.value, `v${index % 100}`);
    await Promise.all(Array.from({ length: 100 }, (_, index) => store.delete(`many:${index}`)));
  });

  it("once closed, it says so", async ({ store }) => {
    await store.put("left", "v", null);
    await store.close();
    await store.close();
    assert.ok([null, undefined].includes(store.peek("left") as null));
    await assert.rejects(store.get("left"));
    await assert.rejects(store.put("left", "v", null));
    await assert.rejects(store.delete("left"));
    await assert.rejects(keysOf(store, ""));
  });
}

async function textUnder(store: SessionStore, key: string): Promise<string | undefined> {
  return (await store.get(key))?.value;
}

/** For stores on the real clock: time passes by itself. */
export async function realTime(ms: number): Promise<void> {
  const end = performance.now() + ms;
  await until(() => performance.now() >= end);
}
