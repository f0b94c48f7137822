/** Limits of the feature `cache` that are no matter of taste, with their reasons. */

/**
 * For so long nobody waits for who fetches what could not be kept (hit-for-miss). Varnish: 120 s; an answer that may be kept ends it
 * sooner.
 */
export const UNCACHEABLE_PASS_MS = 60_000;
/** The same for errors, which pass sooner: who comes then waits for one that is tried again. */
export const ERROR_PASS_MS = 1_000;
/** When the origin fails, for so long nobody waits for another one to try: stale answers are given at once. */
export const FAILED_PASS_MS = 1_000;

/** Attempts to go on with a body that broke off, without progress between them. kisscache has 10. */
export const RESUMES_MAX = 10;
/** The first one comes after so long, each further one after twice as long: together about 40 s, in which an origin restarts. */
export const RESUME_DELAY_MS = 200;
export const RESUME_DELAY_MAX_MS = 8_000;
/** With so much of the body between two of them, attempts are counted anew. */
export const RESUME_PROGRESS_BYTES = 64 * 1024;

/** How often a request looks for what others have fetched before it goes on for itself. */
export const LOOKS_MAX = 3;

/** A request for a range of what is on its way waits for the bytes before it, if these are no more. Others ask the origin. */
export const RANGE_WAIT_BYTES_MAX = 16 * 1024 * 1024;

/** Keys whose uses are counted before they are kept, in two generations: about 8 MiB of a thread when all are in use. */
export const USES_COUNTED_MAX = 32_768;
