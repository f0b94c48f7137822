/**
 * Messages that two servers could read in two ways, each with the one way in which it is read here, and why. Data only,
 * so that the codec alone and the running proxy are held to the same verdicts.
 *
 * In every payload that hides a request, the hidden one is for /hidden: no upstream may ever get that.
 */
import { CHUNKS } from "./smuggling-corpus/chunks.ts";
import { FRAMING } from "./smuggling-corpus/framing.ts";
import { HEADS } from "./smuggling-corpus/heads.ts";
import { RESPONSES } from "./smuggling-corpus/responses.ts";
import type { SmugglingRequest, SmugglingResponse } from "./smuggling-corpus/shape.ts";

export type { SmugglingRequest, SmugglingResponse };

export const SMUGGLING_REQUESTS: readonly SmugglingRequest[] = [...FRAMING, ...CHUNKS, ...HEADS];

export const SMUGGLING_RESPONSES: readonly SmugglingResponse[] = RESPONSES;
