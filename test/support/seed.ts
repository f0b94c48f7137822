// The seed of a run's chances. A failure prints it, and HEADGATE_SEED=n runs the same chances again.

const { HEADGATE_SEED: given } = process.env;

/** An integer below 2^31, new in every run unless HEADGATE_SEED names one. */
export const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);

if (!Number.isSafeInteger(seed)) throw new Error(`HEADGATE_SEED must be an integer, not ${given}`);

/** How to run a failure again, for its message. */
export const replayHint = `HEADGATE_SEED=${seed}`;
