/**
 * The message of an answer that a feature or a handler makes. The length of a body that is there is known, whatever was said of it;
 * how the message is framed by that is decided where it is sent.
 */
import { EncodedLines } from "../core/fields.ts";
import { BODY_UNTIL_END, ResponseMessage } from "../core/message.ts";
import type { BodyProducer } from "./body.ts";
import type { Answer } from "./exchange.ts";

const EMPTY = Buffer.alloc(0);

/** What is sent behind the head of it. */
export function bodyOf({ body = null }: Answer): Buffer | BodyProducer {
  if (body === null) return EMPTY;
  if (typeof body === "function") return body;
  if (typeof body === "string") return Buffer.from(body);
  // A Buffer stays what it is: what is sent again and again, such as an answer that a cache has, is known further on by that.
  return body instanceof Buffer ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}

/** Its head. Throws TypeError for fields that cannot be said, RangeError for a status that there is not. */
export function messageOf(answer: Answer, body: Buffer | BodyProducer): ResponseMessage {
  const { status, fields: lines = [] } = answer;
  const response = new ResponseMessage();
  const { fields } = response;
  response.status = status;
  if (lines instanceof EncodedLines) fields.appendEncoded(lines);
  else for (const [name, value] of lines) fields.append(name, value);
  if (typeof body === "function") response.bodyBytes = answer.bodyBytes ?? BODY_UNTIL_END;
  else {
    response.bodyBytes = body.length;
    // An answer to HEAD may have said the length that GET would give.
    if (body.length === 0 && status !== 204 && status !== 304 && !fields.has("content-length"))
      fields.append("Content-Length", "0");
  }
  return response;
}
