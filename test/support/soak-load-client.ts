// One client of the endurance test: a request, its answer, the next request, on a connection that is kept, ended or cut as its
// plans say. It judges every answer by what it asked for.

import net from "node:net";
import { crc32, gunzipSync } from "node:zlib";
import { AnswerReader } from "./soak-answer-reader.ts";
import { bodyOfAnswer, bodyOfRequest, targetOf, type WantedAnswer } from "./soak-answers.ts";

/** Where a client that aborts is when it does: in its head, in its body, behind its request, in the answer. */
export const ABORTS = ["in the head", "in the request", "waiting", "in the answer"] as const;

export interface Plan {
  readonly method: "GET" | "HEAD" | "POST";
  /** In front of the target, for a route. */
  readonly prefix: "" | "/refused" | "/compressed";
  readonly answer: WantedAnswer;
  /** Of the request's body: POST only. */
  readonly bodyBytes: number;
  readonly isChunked: boolean;
  readonly expectsContinue: boolean;
  /** The connection ends behind the answer. */
  readonly isLast: boolean;
  readonly abort: (typeof ABORTS)[number] | null;
  /** An abort is a reset; otherwise an end. */
  readonly resets: boolean;
}

/** How a request ended. "an error" is a 502, 503 or 504 of the proxy; "wrong" should never be. */
export type Outcome = "right" | "an error" | "refused" | "cut" | "aborted" | `wrong: ${string}`;

/** What is sent for a plan, in the parts between which it may be aborted. */
function encode(plan: Plan): { head: Buffer; body: Buffer } {
  const { method, prefix, answer, bodyBytes, isChunked } = plan;
  const lines = [`${method} ${prefix}${targetOf(answer)} HTTP/1.1`, "Host: soak.example"];
  let body: Buffer = Buffer.alloc(0);
  if (method === "POST") {
    const content = bodyOfRequest(answer.id, bodyBytes);
    body = isChunked ? inChunks(content) : content;
    lines.push(isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${bodyBytes}`);
  }
  if (plan.expectsContinue) lines.push("Expect: 100-continue");
  if (prefix === "/compressed") lines.push("Accept-Encoding: gzip");
  if (plan.isLast) lines.push("Connection: close");
  return { head: Buffer.from([...lines, "", ""].join("\r\n"), "latin1"), body };
}

function inChunks(content: Buffer): Buffer {
  const middle = content.length >> 1;
  const parts = [content.subarray(0, middle), content.subarray(middle)].filter((part) => part.length > 0);
  const framed = parts.flatMap((part) => [Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]);
  return Buffer.concat([...framed, Buffer.from("0\r\n\r\n")]);
}

export class LoadClient {
  readonly #port: number;
  #socket: net.Socket | null = null;
  #onData: (chunk: Buffer) => void = () => {};
  #onClose: () => void = () => {};
  connectionsMade = 0;

  constructor(port: number) {
    this.#port = port;
  }

  async exchange(plan: Plan): Promise<Outcome> {
    const socket = this.#socket ?? this.#connect();
    const reader = new AnswerReader(plan.method === "HEAD");
    const { promise: ended, resolve: end } = Promise.withResolvers<Outcome>();
    const { head, body } = encode(plan);
    const vanish = () => {
      if (plan.resets) socket.resetAndDestroy();
      else socket.destroy();
      end("aborted");
    };
    let isBodySent = false;
    const sendBody = () => {
      isBodySent = true;
      if (plan.abort === "in the request") socket.write(body.subarray(0, body.length >> 1), vanish);
      else if (plan.abort === "waiting") socket.write(body, vanish);
      else if (body.length > 0) socket.write(body);
    };
    this.#onClose = () => end("cut");
    this.#onData = (chunk) => {
      try {
        reader.push(chunk);
        if (reader.complete) return end(judge(plan, reader));
      } catch (error) {
        return end(`wrong: ${(error as Error).message}, in answer to ${describe(plan)}`);
      }
      if (reader.begun && plan.abort === "in the answer") vanish();
      else if (reader.mayContinue && !isBodySent) sendBody();
    };

    socket.cork();
    if (plan.abort === "in the head") socket.write(head.subarray(0, head.length >> 1), vanish);
    else {
      socket.write(head);
      if (!plan.expectsContinue) sendBody();
    }
    socket.uncork();
    let outcome = await ended;
    this.#onData = () => {};
    if (reader.complete && reader.fields.get("connection") === "close") await this.#untilClosed();
    // A final answer in place of the 100: the request has no body, and the connection no next request.
    else if (!reader.complete || !isBodySent || outcome.startsWith("wrong")) await this.close();
    else if (plan.isLast) outcome = "wrong: the connection is kept although the client has said close";
    return outcome;
  }

  #connect(): net.Socket {
    const socket = net.connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    this.connectionsMade++;
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#socket = null;
      this.#onClose();
    });
    return socket;
  }

  /** Ends the connection, if there is one. */
  close(): Promise<void> {
    this.#socket?.destroy();
    return this.#untilClosed();
  }

  #untilClosed(): Promise<void> {
    if (this.#socket === null) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onClose = resolve;
    });
  }
}

function describe({ method, prefix, answer, abort }: Plan): string {
  return `${method} ${prefix}${targetOf(answer)}${abort === null ? "" : ` (aborted ${abort})`}`;
}

/** Whether a complete answer is the one that was asked for. */
function judge(plan: Plan, { status, fields, body }: AnswerReader): Outcome {
  const wrong = (what: string): Outcome => `wrong: ${what}, in answer to ${describe(plan)}`;
  if (status === 502 || status === 503 || status === 504) {
    if (!fields.get("proxy-status")?.startsWith("headgate; error=")) return wrong(`${status} that is not the proxy's`);
    return plan.prefix === "/refused" ? "refused" : "an error";
  }
  if (status !== 200) return wrong(`status ${status}`);
  if (plan.prefix === "/refused") return wrong("an answer of a server that is not there");
  const { answer } = plan;
  if (fields.get("x-id") !== String(answer.id)) return wrong(`the head of answer ${fields.get("x-id")}`);
  const sum = fields.get("x-request-sum");
  if (sum !== undefined && sum !== String(crc32(bodyOfRequest(answer.id, plan.bodyBytes)))) {
    return wrong("the request's body arrived changed");
  }
  if (plan.method === "HEAD") return "right";
  const received = Buffer.concat(body);
  const content = fields.get("content-encoding") === "gzip" ? gunzipSync(received) : received;
  if (!content.equals(bodyOfAnswer(answer))) return wrong(`a body of ${content.length} bytes that is not its own`);
  return "right";
}
