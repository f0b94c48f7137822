/**
 * The field that tells the cache apart what was downloaded with which fields: set by the entrance, part of the key, and taken out
 * again behind the cache. No client can say it.
 */
export const PASSED_FIELD = "headgate-passed";
