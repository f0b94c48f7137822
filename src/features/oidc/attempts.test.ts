import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeyRing } from "../../identity/envelope.ts";
import {
  ATTEMPT_LIFETIME_MS,
  ATTEMPTS_MAX,
  attemptId,
  attemptsToForget,
  idOfState,
  newAttempt,
  openAttempt,
  sealAttempt,
} from "./attempts.ts";

const keys = new KeyRing([{ algorithm: "aes-256-gcm", key: "ab".repeat(32) }]);
const NOW = 1_800_000_000_000;

describe("an attempt to log in", () => {
  const attempt = newAttempt("https://app.example.org/oauth2/callback", "/start", NOW);
  const sealed = sealAttempt(keys, "here", attempt);

  it("has proofs that nobody can guess, and no two alike", () => {
    const { state, nonce, verifier } = attempt;
    for (const proof of [state, nonce, verifier]) assert.match(proof, /^[A-Za-z0-9_-]{43}$/);
    assert.equal(new Set([state, nonce, verifier, newAttempt("", "", NOW).state]).size, 4);
  });

  it("opens for its state, in its place and in its time alone", () => {
    assert.deepEqual(openAttempt(keys, "here", sealed, attempt.state, NOW + ATTEMPT_LIFETIME_MS), attempt);
    assert.equal(openAttempt(keys, "here", sealed, attempt.state, NOW + ATTEMPT_LIFETIME_MS + 1), null);
    assert.equal(openAttempt(keys, "there", sealed, attempt.state, NOW), null);
    for (const state of ["", attempt.nonce, attempt.state.slice(1), `${attempt.state}x`]) {
      assert.equal(openAttempt(keys, "here", sealed, state, NOW), null);
    }
    assert.equal(openAttempt(keys, "here", `${sealed}A`, attempt.state, NOW), null);
    assert.equal(openAttempt(keys, "here", "", attempt.state, NOW), null);
  });

  it("is found by its state among others", () => {
    const id = attemptId(attempt);
    assert.match(id, /^[a-z0-9]+-[A-Za-z0-9_-]{12}$/);
    assert.equal(idOfState(["x", id, "y"], attempt.state), id);
    assert.equal(idOfState(["x", id], attempt.nonce), null);
  });

  it("gives way when there are too many, the oldest first; one that is over always does", () => {
    const ids = Array.from({ length: 8 }, (_, i) => attemptId({ state: `s${i}`, startedMs: NOW + i * 1000 }));
    assert.deepEqual(attemptsToForget(ids, NOW).toSorted(), ids.slice(0, 8 - ATTEMPTS_MAX + 1).toSorted());
    assert.deepEqual(attemptsToForget(ids.slice(0, 3), NOW), []);
    assert.deepEqual(attemptsToForget(ids.slice(0, 3), NOW + ATTEMPT_LIFETIME_MS + 1500), [ids[1], ids[0]]);
    assert.deepEqual(attemptsToForget(["", "?", "-"], NOW).toSorted(), ["", "-", "?"]);
  });
});
