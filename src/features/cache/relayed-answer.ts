/**
 * The answer of a client to whom an answer is relayed that is nobody else's. The origin was asked without the client's conditions,
 * since the answer might have been for many: they are looked at here, and save the body.
 */
import { EncodedLines } from "../../core/fields.ts";
import type { RequestMessage, ResponseMessage } from "../../core/message.ts";
import type { Answer } from "../../pipeline/exchange.ts";
import type { AnswerHead } from "../../semantics/caching/answer-head.ts";
import { evaluateConditions, isForNotModified } from "../../semantics/caching/conditionals.ts";
import { isConditional } from "./give.ts";
import type { Relay } from "./relay.ts";

export function relayedAnswer(request: RequestMessage, response: ResponseMessage, relay: Relay, nowMs: number): Answer {
  const { status, bodyBytes } = response;
  // How long the body is, is said by whoever sends it.
  const lines = [...response.fields.entries()].filter(([name]) => name.toLowerCase() !== "content-length");
  if (isConditional(request.fields) && isUnmodified(request, status, lines, nowMs)) {
    relay.abort();
    return { status: 304, fields: lines.filter(([name]) => isForNotModified(name.toLowerCase())) };
  }
  if (bodyBytes === 0) {
    relay.discard();
    return { status, fields: lines };
  }
  return { status, fields: lines, body: relay.produce, bodyBytes };
}

function isUnmodified(
  request: RequestMessage,
  status: number,
  lines: readonly (readonly [string, string])[],
  nowMs: number,
): boolean {
  const head: AnswerHead = {
    status,
    fields: new EncodedLines(lines),
    requestedMs: nowMs,
    receivedMs: nowMs,
    initialAgeMs: 0,
    freshMs: 0,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    flags: 0,
    vary: [],
    tags: [],
    bodyBytes: -1,
  };
  return evaluateConditions(request.fields, head) === "not-modified";
}
