import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SessionStore } from "../../core/ports.ts";
import { KeyRing } from "../../identity/envelope.ts";
import { MemorySessionStore, VirtualClock } from "../../testing/index.ts";
import { CookieSessions, REPLACED_MS } from "./cookie-sessions.ts";
import { Entries, Entry, latestOf } from "./entries.ts";
import { decodeSession, encodeSession, refreshMs, type Session, sessionEndMs, touchMs } from "./session.ts";
import { StoredSessions } from "./stored-sessions.ts";

const keys = new KeyRing([{ algorithm: "aes-256-gcm", key: "cd".repeat(32) }]);
const LIFETIMES = { lifetimeMs: 10_000, idleMs: 8_000, refreshBeforeMs: 1_000 };

function session(more: Partial<Session> = {}): Session {
  return {
    subject: "alice",
    sid: "s1",
    idToken: "a.b.c",
    accessToken: "at",
    refreshToken: "rt",
    gotMs: 0,
    endsMs: 4_000,
    createdMs: 0,
    seenMs: 0,
    userInfo: null,
    ...more,
  };
}

describe("a session", () => {
  it("is the same again behind its text", () => {
    const full = session({ userInfo: { groups: ["ë"] } });
    assert.deepEqual(decodeSession(encodeSession(full)), full);
    for (const text of ["", "null", "[]", "1", "{}", '{"v":2}', "{"]) assert.equal(decodeSession(text), null);
  });

  it("ends with its life or its idle time, whichever comes first", () => {
    assert.equal(sessionEndMs(session(), LIFETIMES), 8_000);
    assert.equal(sessionEndMs(session({ seenMs: 5_000 }), LIFETIMES), 10_000);
    assert.equal(sessionEndMs(session(), { ...LIFETIMES, idleMs: null }), 10_000);
    assert.equal(touchMs(session(), LIFETIMES), 1_000);
    assert.equal(touchMs(session(), { ...LIFETIMES, idleMs: null }), Number.POSITIVE_INFINITY);
  });

  it("is refreshed before its tokens end, short ones in the second half of their life", () => {
    const never = Number.POSITIVE_INFINITY;
    assert.equal(refreshMs(session(), LIFETIMES), 3_000);
    assert.equal(refreshMs(session({ endsMs: 1_000 }), LIFETIMES), 500);
    assert.equal(refreshMs(session({ endsMs: null }), LIFETIMES), never);
    assert.equal(refreshMs(session({ refreshToken: null }), LIFETIMES), never);
    assert.equal(refreshMs(session(), { ...LIFETIMES, refreshBeforeMs: null }), never);
  });
});

describe("opened sessions", () => {
  it("are bounded by bytes, and who was used lately stays", () => {
    const one = new Entry("v0", session());
    const entries = new Entries(one.bytes * 3);
    for (let i = 0; i < 3; i++) entries.keep(new Entry(`v${i}`, session()));
    entries.find("v0");
    entries.keep(new Entry("v3", session()));
    assert.deepEqual(
      ["v0", "v1", "v2", "v3"].map((value) => entries.find(value) !== null),
      [true, false, true, true],
    );
    for (let i = 0; i < 100; i++) {
      entries.find("v0");
      entries.keep(new Entry(`w${i}`, session()));
      assert.ok(entries.size <= 3);
    }
    assert.notEqual(entries.find("v0"), null);
  });

  it("keep one alone that is larger than all the room", () => {
    const entries = new Entries(10);
    entries.keep(new Entry("a", session()));
    entries.keep(new Entry("b", session()));
    assert.deepEqual([entries.find("a"), entries.size], [null, 1]);
  });
});

describe("sessions in cookies", () => {
  function made(fits = (_value: string) => true) {
    const clock = new VirtualClock();
    return { clock, sessions: new CookieSessions(keys, "here", clock, fits) };
  }

  it("are opened by whoever has the keys, in the same place alone", async () => {
    const { clock, sessions } = made();
    const { value } = (await sessions.create(session()))!;
    const other = new CookieSessions(keys, "here", clock, () => true);
    assert.deepEqual(other.peek(value)!.session, session());
    assert.equal(new CookieSessions(keys, "there", clock, () => true).peek(value), null);
    assert.equal(other.peek("nonsense"), null);
  });

  it("that changed are found by the old cookie for a while, and change once at a time", async () => {
    const { clock, sessions } = made();
    const entry = (await sessions.create(session()))!;
    let changes = 0;
    const change = (current: Session): Session => ({ ...current, accessToken: `at${++changes}` });
    const [one, two] = await Promise.all([
      sessions.update(entry, change, false),
      sessions.update(entry, change, false),
    ]);
    assert.equal(one, two);
    assert.equal(changes, 1);
    assert.equal(latestOf(sessions.peek(entry.value)!), one);
    const next = await sessions.update(entry, change, false);
    assert.equal(latestOf(entry), next);
    clock.advance(REPLACED_MS);
    // Opened from its own text again.
    assert.equal(sessions.peek(entry.value)!.replacedBy, null);
  });

  it("that do not fit are none, and one that has outgrown its cookies stays as it was", async () => {
    const { sessions } = made((value) => value.length < 600);
    assert.equal(await sessions.create(session({ idToken: "x".repeat(900) })), null);
    const entry = (await sessions.create(session()))!;
    const changed = await sessions.update(entry, (current) => ({ ...current, idToken: "x".repeat(900) }), false);
    assert.equal(changed, entry);
  });
});

describe("sessions in a store", () => {
  /** Lets what waits for time go on. */
  async function settled<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
    let isDone = false;
    work.then(
      () => {
        isDone = true;
      },
      () => {
        isDone = true;
      },
    );
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      clock.advance(10);
    }
    return work;
  }

  function made() {
    const clock = new VirtualClock();
    const store = new MemorySessionStore(clock);
    const lifetimes = { lifetimeMs: 3_600_000, idleMs: null, refreshBeforeMs: null };
    const thread = (way: SessionStore = store) => new StoredSessions(way, keys, "p:", clock, lifetimes, true);
    const begun = { createdMs: clock.wallMs(), seenMs: 0 };
    return { clock, store, thread, begun };
  }

  it("end for everybody at once", async () => {
    const { thread, store, begun } = made();
    const [one, other] = [thread(), thread()];
    const entry = (await one.create(session(begun)))!;
    assert.deepEqual(other.peek(entry.value)!.session, session(begun));
    await one.end(other.peek(entry.value)!);
    assert.equal(one.peek(entry.value), null);
    assert.equal(other.peek(entry.value), null);
    const left: string[] = [];
    for await (const { key } of store.list("p:")) if (!key.endsWith(":ended")) left.push(key);
    assert.deepEqual(left, []);
  });

  it("change once at a time, whatever the thread", async () => {
    const { clock, thread, begun } = made();
    const threads = [thread(), thread(), thread()];
    const entry = (await threads[0]!.create(session(begun)))!;
    let changes = 0;
    let running = 0;
    const change = async (current: Session): Promise<Session> => {
      assert.equal(++running, 1);
      await new Promise((resolve) => clock.after(200, () => resolve(null)));
      running--;
      return { ...current, accessToken: `at${++changes}` };
    };
    const done = threads.map((sessions) => sessions.update(sessions.peek(entry.value)!, change, false));
    const found = await settled(clock, Promise.all(done));
    assert.equal(changes, 1);
    assert.deepEqual(
      found.map((changed) => changed!.session.accessToken),
      ["at1", "at1", "at1"],
    );
  });

  it("change once at a time, also when one thread's writes take longer than another's", async () => {
    const { clock, store, thread, begun } = made();
    /** The same store at the end of a longer way: what is written there arrives later. */
    const far: SessionStore = {
      peek: (key) => store.peek(key),
      get: (key) => store.get(key),
      put: async (key, value, ttlMs) => {
        await new Promise<void>((resolve) => clock.after(30, resolve));
        return store.put(key, value, ttlMs);
      },
      delete: (key) => store.delete(key),
      list: (prefix) => store.list(prefix),
      close: () => store.close(),
    };
    const threads = [thread(), thread(far)];
    const entry = (await threads[0]!.create(session(begun)))!;
    let changes = 0;
    const change = async (current: Session): Promise<Session> => {
      const number = ++changes;
      await new Promise<void>((resolve) => clock.after(200, resolve));
      return { ...current, accessToken: `at${number}` };
    };
    const done = threads.map((sessions) => sessions.update(sessions.peek(entry.value)!, change, false));
    await settled(clock, Promise.all(done));
    assert.equal(changes, 1);
  });

  it("are left alone in passing while somebody else changes them", async () => {
    const { clock, thread, begun } = made();
    const [one, other] = [thread(), thread()];
    const entry = (await one.create(session(begun)))!;
    const goOn = Promise.withResolvers<void>();
    const first = one.update(
      entry,
      async (current) => {
        await goOn.promise;
        return { ...current, seenMs: 5 };
      },
      false,
    );
    await settled(clock, new Promise<void>((resolve) => clock.after(100, resolve)));
    const passed = await settled(
      clock,
      other.update(other.peek(entry.value)!, () => assert.fail("it is locked"), true),
    );
    assert.equal(passed!.session.seenMs, 0);
    goOn.resolve();
    assert.equal((await settled(clock, first))!.session.seenMs, 5);
  });

  it("that ended while they were changed stay ended", async () => {
    const { clock, thread, store, begun } = made();
    const [one, other] = [thread(), thread()];
    const entry = (await one.create(session(begun)))!;
    const changed = one.update(
      entry,
      async (current) => {
        await other.end(other.peek(entry.value)!);
        return { ...current, seenMs: 1 };
      },
      false,
    );
    assert.equal(await settled(clock, changed), null);
    assert.equal(await store.get(entry.key), null);
  });

  it("that a change fails are as they were, and can be changed again", async () => {
    const { clock, thread, begun } = made();
    const sessions = thread();
    const entry = (await sessions.create(session(begun)))!;
    const failing = sessions.update(entry, () => Promise.reject(new Error("refused")), false);
    await assert.rejects(settled(clock, failing), /refused/);
    const again = await settled(
      clock,
      sessions.update(entry, (current) => ({ ...current, seenMs: 3 }), false),
    );
    assert.equal(again!.session.seenMs, 3);
  });

  it("are ended by what the issuer calls them", async () => {
    const { thread, begun } = made();
    const sessions = thread();
    const first = (await sessions.create(session(begun)))!;
    const second = (await sessions.create(session({ ...begun, sid: "s2" })))!;
    const other = (await sessions.create(session({ ...begun, sid: "s3", subject: "bob" })))!;
    assert.equal(await sessions.endAll({ sid: "s1" }), 1);
    assert.deepEqual([sessions.peek(first.value), sessions.peek(second.value) === null], [null, false]);
    assert.equal(await sessions.endAll({ subject: "alice" }), 2);
    assert.equal(sessions.peek(second.value), null);
    assert.notEqual(sessions.peek(other.value), null);
    assert.equal(await sessions.isUsed("jti"), false);
    await sessions.markUsed("jti", 1000);
    assert.equal(await sessions.isUsed("jti"), true);
  });

  it("copied to the place of another open nothing", async () => {
    const { thread, store, begun } = made();
    const sessions = thread();
    const mine = (await sessions.create(session({ ...begun, subject: "mallory" })))!;
    const other = (await sessions.create(session(begun)))!;
    await store.put(other.key, (await store.get(mine.key))!.value, null);
    assert.equal(sessions.peek(other.value), null);
    assert.equal(sessions.peek("not an id"), null);
  });
});
