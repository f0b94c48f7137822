// An origin that is right most of the time, and otherwise fails in one of the ways in which origins fail: by chance, whatever
// it is asked. Requests are read by node:http, so that another reader than ours judges what the proxy sends; faults are
// written to the bare socket.

import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { crc32 } from "node:zlib";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import { bodyOfAnswer, type WantedAnswer, wantedBy } from "./soak-answers.ts";

/** Shares of the requests: with a fault, with a late answer, with one that ends the connection. */
const FAULT_SHARE = 0.02;
const LATE_SHARE = 0.01;
const CLOSING_SHARE = 0.01;
/** A fault in so many is an answer that never comes: it costs the proxy's whole response timeout. */
const STALL_SHARE = 0.02;
const LATE_MS_MAX = 30;

/** What the client sees of a fault, when the request is not tried again. */
export type Visible = "an error" | "a cut answer" | "nothing";

interface Fault {
  readonly name: string;
  readonly visible: Visible;
  readonly act: (socket: Socket, wanted: WantedAnswer) => void;
}

const headOf = ({ id }: WantedAnswer, ...lines: string[]) =>
  ["HTTP/1.1 200 OK", `X-Id: ${id}`, ...lines, "", ""].join("\r\n");
const withLength = (wanted: WantedAnswer) => headOf(wanted, `Content-Length: ${bodyOfAnswer(wanted).length}`);

/** Ends a connection behind what was written to it. */
const finish = (socket: Socket) => socket.end();
/** RST, once what was written is in the kernel. */
const reset = (socket: Socket) => socket.write("", () => socket.resetAndDestroy());

function writes(text: (wanted: WantedAnswer) => string, end: (socket: Socket) => void): Fault["act"] {
  return (socket, wanted) => {
    socket.write(text(wanted), "latin1");
    end(socket);
  };
}

const halfOf = (text: string) => text.slice(0, text.length / 2);
const half = (wanted: WantedAnswer) => withLength(wanted) + halfOf(bodyOfAnswer(wanted).toString("latin1"));
const chunked = (wanted: WantedAnswer) => headOf(wanted, "Transfer-Encoding: chunked");

const FAULTS: readonly Fault[] = [
  { name: "resets before the head", visible: "an error", act: (socket) => socket.resetAndDestroy() },
  { name: "closes before the head", visible: "an error", act: finish },
  { name: "resets in the head", visible: "an error", act: writes((wanted) => halfOf(withLength(wanted)), reset) },
  { name: "closes in the head", visible: "an error", act: writes((wanted) => halfOf(withLength(wanted)), finish) },
  { name: "resets in the body", visible: "a cut answer", act: writes(half, reset) },
  { name: "closes in the body", visible: "a cut answer", act: writes(half, finish) },
  {
    name: "sends a chunk without a size",
    visible: "a cut answer",
    act: writes((wanted) => `${chunked(wanted)}8\r\nanswer \n\r\nxyz\r\n0\r\n\r\n`, finish),
  },
  {
    name: "closes between chunks",
    visible: "a cut answer",
    act: writes((wanted) => `${chunked(wanted)}8\r\nanswer \n\r\n`, finish),
  },
  {
    name: "names two lengths",
    visible: "an error",
    act: writes((wanted) => `${headOf(wanted, "Content-Length: 4", "Content-Length: 5")}abcde`, finish),
  },
  {
    name: "names a length and sends chunks",
    visible: "an error",
    act: writes((wanted) => `${headOf(wanted, "Content-Length: 4", "Transfer-Encoding: chunked")}0\r\n\r\n`, finish),
  },
  {
    name: "ends a line of the head with LF alone",
    visible: "an error",
    act: writes((wanted) => withLength(wanted).replace("\r\n", "\n"), finish),
  },
];

const STRAY: Fault = {
  name: "sends another answer behind its own",
  visible: "nothing",
  act: (socket, wanted) => {
    const stray = "HTTP/1.1 200 OK\r\nX-Id: 0\r\nContent-Length: 5\r\n\r\nstray";
    socket.end(Buffer.concat([Buffer.from(withLength(wanted)), bodyOfAnswer(wanted), Buffer.from(stray)]));
  },
};
/** Both answers have to arrive at once: HTTP/1.1 cannot tell one that comes later from the answer to the next request. */
const STRAY_BYTES_MAX = 8_192;

const STALL: Fault = { name: "never answers", visible: "an error", act: () => {} };

export class FlakyOrigin {
  /** What it did wrong, and how often. */
  readonly faults = new Map<string, number>();
  /** The faults that a client could see, by what it sees. */
  readonly visible = { "an error": 0, "a cut answer": 0, nothing: 0 };
  requests = 0;
  readonly #server = http.createServer((request, response) => this.#serve(request, response));
  readonly #random: SeededRandom;
  readonly #sockets = new Set<Socket>();

  private constructor(random: SeededRandom) {
    this.#random = random;
    this.#server.keepAliveTimeout = this.#server.requestTimeout = this.#server.headersTimeout = 0;
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    // The proxy leaves in the middle of a request whenever its client does.
    this.#server.on("clientError", (_, socket) => socket.destroy());
  }

  static async start(random: SeededRandom): Promise<FlakyOrigin> {
    const origin = new FlakyOrigin(random);
    await new Promise<void>((resolve) => origin.#server.listen(0, "127.0.0.1", resolve));
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    this.requests++;
    let sum = 0;
    request.on("data", (chunk: Buffer) => {
      sum = crc32(chunk, sum);
    });
    request.on("error", () => {});
    request.on("end", () => {
      const wanted = wantedBy(request.url!);
      if (wanted === null) response.writeHead(404).end();
      else if (this.#random.chance(FAULT_SHARE)) this.#fail(request.socket, wanted, request.method!);
      else this.#answer(request, response, wanted, sum);
    });
  }

  #fail(socket: Socket, wanted: WantedAnswer, method: string): void {
    const fault = this.#chooseFault(wanted);
    this.faults.set(fault.name, (this.faults.get(fault.name) ?? 0) + 1);
    // An answer to HEAD ends with its head, and a cut in its body does not concern it.
    this.visible[method === "HEAD" && fault.visible === "a cut answer" ? "nothing" : fault.visible]++;
    fault.act(socket, wanted);
  }

  #chooseFault(wanted: WantedAnswer): Fault {
    if (this.#random.chance(STALL_SHARE)) return STALL;
    const mayStray = wanted.bytes <= STRAY_BYTES_MAX && this.#random.chance(1 / (FAULTS.length + 1));
    return mayStray ? STRAY : this.#random.pick(FAULTS);
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse, wanted: WantedAnswer, sum: number): void {
    const body = bodyOfAnswer(wanted);
    response.setHeader("X-Id", wanted.id);
    response.setHeader("X-Request-Sum", sum);
    response.setHeader("Content-Type", "text/plain");
    if (wanted.framing === "length") response.setHeader("Content-Length", body.length);
    if (this.#random.chance(CLOSING_SHARE)) response.setHeader("Connection", "close");
    const send = () => {
      if (request.method === "HEAD" || body.length < 2) response.end(body);
      else {
        response.write(body.subarray(0, body.length / 2));
        response.end(body.subarray(body.length / 2));
      }
    };
    if (this.#random.chance(LATE_SHARE)) setTimeout(send, this.#random.below(LATE_MS_MAX));
    else send();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
