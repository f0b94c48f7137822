import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { PasswordHasher } from "../core/ports.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { PasswordChecks } from "./password-checks.ts";

/** Answers when it is told to; the right password is the hash itself. */
class HeldHasher implements PasswordHasher {
  readonly asked: { readonly hash: string; readonly answer: () => void; readonly fail: () => void }[] = [];

  verify(hash: string, password: Uint8Array): Promise<boolean> {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const answer = () => resolve(hash === Buffer.from(password).toString());
    this.asked.push({ hash, answer, fail: () => reject(new Error("no memory")) });
    return promise;
  }
}

function stage() {
  const hasher = new HeldHasher();
  const clock = new VirtualClock();
  const checks = new PasswordChecks(hasher, clock);
  const verify = (hash: string, password: string) => {
    const bytes = Buffer.from(password);
    return checks.verify(checks.digest(hash, bytes), hash, bytes);
  };
  const known = (hash: string, password: string) => checks.known(checks.digest(hash, Buffer.from(password)));
  return { hasher, clock, verify, known };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("passwords that were verified", () => {
  it("are known from then on, the right ones and the wrong ones, for an hour", async () => {
    const { hasher, clock, verify, known } = stage();
    for (const [hash, password, expected] of [
      ["a", "a", true],
      ["a", "b", false],
    ] as const) {
      assert.equal(known(hash, password), null);
      const verified = verify(hash, password);
      hasher.asked.at(-1)!.answer();
      assert.equal(await verified, expected);
      assert.equal(known(hash, password), expected);
    }
    clock.advance(3_600_000 - 1);
    assert.deepEqual([known("a", "a"), known("a", "b")], [true, false]);
    clock.advance(1);
    assert.deepEqual([known("a", "a"), known("a", "b")], [null, null]);
  });

  it("of one hash say nothing of another one: a changed password ends what was known", async () => {
    const { hasher, verify, known } = stage();
    const verified = verify("a", "a");
    hasher.asked[0]!.answer();
    await verified;
    assert.equal(known("b", "a"), null);
    // The border between hash and password is part of what is known.
    assert.equal(known("", "aa"), null);
  });

  it("are forgotten, the oldest first, when there are too many; wrong ones never push out a right one", async () => {
    const { hasher, verify, known } = stage();
    const right = verify("a", "a");
    hasher.asked[0]!.answer();
    await right;
    for (let guess = 0; guess < 5000; guess++) {
      const wrong = verify("a", `guess ${guess}`);
      hasher.asked.at(-1)!.answer();
      await wrong;
    }
    assert.deepEqual([known("a", "a"), known("a", "guess 0"), known("a", "guess 4999")], [true, null, false]);
  });

  it("are not remembered when the verification itself failed", async () => {
    const { hasher, verify, known } = stage();
    const failed = verify("a", "a");
    hasher.asked[0]!.fail();
    await assert.rejects(failed!, /no memory/);
    assert.equal(known("a", "a"), null);
    const again = verify("a", "a");
    hasher.asked[1]!.answer();
    assert.equal(await again, true);
  });
});

describe("passwords that are asked for at once", () => {
  it("are verified one after the other, and equal ones once", async () => {
    const { hasher, verify } = stage();
    const answers = ["x", "x", "y", "z"].map((password) => verify("x", password));
    assert.equal(answers[0], answers[1]);
    for (let done = 0; done < 3; done++) {
      await turn();
      assert.equal(hasher.asked.length, done + 1);
      hasher.asked[done]!.answer();
    }
    assert.deepEqual(await Promise.all(answers), [true, true, false, false]);
    await turn();
    const later = verify("x", "later");
    hasher.asked[3]!.answer();
    assert.equal(await later, false);
  });

  it("are turned away when too many wait, and none of those that wait is lost", async () => {
    const { hasher, verify } = stage();
    const waiting = Array.from({ length: 33 }, (_, i) => verify("x", `${i}`));
    assert.ok(waiting.every((answer) => answer !== null));
    assert.equal(verify("x", "one more"), null);
    assert.equal(verify("x", "7"), waiting[7]);
    const settled = Promise.allSettled(waiting);
    for (let done = 0; done < 33; done++) {
      await turn();
      if (done === 5) hasher.asked[done]!.fail();
      else hasher.asked[done]!.answer();
    }
    const results = await settled;
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 32);
    assert.notEqual(verify("x", "one more"), null);
    hasher.asked.at(-1)!.answer();
  });
});
