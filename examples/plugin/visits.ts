// A plugin: it counts requests and tells the upstream, answers /visits by itself, and makes the text of answers louder.

import { type BodySink, type BodySource, type Exchange, type Feature, PassThrough } from "headgate";

/** Upper case. Bytes are valid during the call only, so they are copied before they are changed. */
class Louder extends PassThrough {
  override write(bytes: Buffer, start: number, end: number): void {
    const louder = Buffer.from(bytes.subarray(start, end));
    for (const [at, byte] of louder.entries()) if (byte >= 0x61 && byte <= 0x7a) louder[at] = byte - 0x20;
    this.next.write(louder, 0, louder.length);
  }
}

export class Visits implements Feature {
  readonly name = "visits";
  #count = 0;

  request(exchange: Exchange): void {
    if (exchange.request.path === "/visits") {
      exchange.respond({ status: 200, fields: [["Content-Type", "text/plain"]], body: `${this.#count} visits\n` });
      return;
    }
    this.#count++;
    exchange.request.fields.set("X-Visit", String(this.#count));
    // Who changes the bytes of an answer must be able to read them.
    exchange.request.fields.delete("Accept-Encoding");
  }

  responseBody(exchange: Exchange, next: BodySink, source: BodySource): Louder | null {
    const fields = exchange.response?.fields;
    const isText = fields?.get("content-type")?.startsWith("text/plain") === true;
    return isText && !fields?.has("content-encoding") ? new Louder(next, source) : null;
  }
}
