// An origin that does what the plan of each exchange says, and checks every byte that reaches it: whose it is, that it
// came once, and that what looks like a complete request is one.

import assert from "node:assert/strict";
import type { Connection, ConnectionHandler } from "../../src/core/ports.ts";
import { announcedFraming, type Framing, type Head, MessageReader, single } from "./message-reader.ts";
import { isIdempotent, type Plan, patternOf } from "./plan.ts";
import type { World } from "./world.ts";

const REASON = "As Planned";

/** Starts an origin. */
export function startOrigin(world: World, authority: string): void {
  world.network.listen(authority, (connection) => {
    connection.handler = new OriginConnection(world, connection);
  });
}

class OriginConnection implements ConnectionHandler {
  readonly #world: World;
  readonly #connection: Connection;
  readonly #reader: MessageReader;
  #plan: Plan | null = null;
  #received = 0;
  #answerBegun = false;
  #answerEnded = false;
  #isTunnel = false;

  constructor(world: World, connection: Connection) {
    this.#world = world;
    this.#connection = connection;
    this.#reader = new MessageReader({
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => this.#onBody(bytes),
      onEnd: (trailers) => this.#onRequestEnd(trailers),
      onRaw: (bytes) => this.#onTunnelBytes(bytes),
    });
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#world.stallSometimes(this.#connection);
    this.#reader.push(buffer.subarray(start, end));
  }

  onDrain(): void {}

  onEnd(): void {
    // In a tunnel each way ends for itself: ours when all our bytes are sent.
    if (this.#isTunnel) this.#onTunnelEnd();
    else this.#connection.end();
  }

  onClose(): void {}

  #onHead(head: Head): Framing {
    assert.ok(
      this.#plan === null || this.#answerEnded,
      "a request arrived before the answer to the one before it was sent",
    );
    const match = /^([A-Z]+) \/exchange\/(\d+)\?q=(\d+) HTTP\/1\.1$/.exec(head.startLine);
    assert.ok(match !== null, `the request line is ${head.startLine}`);
    const plan = this.#world.planOf(Number(match[2]));
    assert.equal(match[1], plan.method);
    assert.equal(Number(match[3]), plan.id);
    assert.equal(single(head, "x-id"), String(plan.id), "fields of another request");
    assert.equal(single(head, "host"), this.#world.host);
    assert.ok(head.fields.has("via"), "Via is missing");
    for (const hop of ["x-hop", "keep-alive", "proxy-connection"]) assert.ok(!head.fields.has(hop), `${hop} crossed`);
    const arrivals = this.#world.countArrival(plan.id);
    assert.ok(arrivals === 1 || isIdempotent(plan.method), `${plan.method} arrived ${arrivals} times`);

    this.#plan = plan;
    this.#received = 0;
    this.#answerBegun = this.#answerEnded = false;
    if (plan.upgrade !== null && this.#world.asksToSwitch(head)) {
      if (plan.upgrade.agreed) {
        this.#switchProtocols(plan);
        return { kind: "switch" };
      }
    }
    const framing = announcedFraming(head, "none");
    if (plan.body.framing === "none")
      assert.ok(framing.kind === "none" || (framing.kind === "length" && !framing.bytes));
    if (plan.body.framing === "length") assert.deepEqual(framing, { kind: "length", bytes: plan.body.bytes });
    if (plan.body.framing === "chunked") assert.equal(framing.kind, "chunked");
    if (plan.early) {
      this.#world.answeredEarly.add(plan.id);
      this.#answerSoon();
    }
    if (!plan.early && head.fields.has("expect")) this.#connection.writeLatin1("HTTP/1.1 100 Continue\r\n\r\n");
    return framing;
  }

  #onBody(bytes: Buffer): void {
    const plan = this.#plan!;
    const expected = patternOf("q", plan.id, this.#received, this.#received + bytes.length);
    assert.ok(expected.equals(bytes), `the body of request ${plan.id} differs behind byte ${this.#received}`);
    this.#received += bytes.length;
  }

  #onRequestEnd(trailers: ReadonlyMap<string, readonly string[]>): void {
    const plan = this.#plan!;
    assert.equal(this.#received, plan.body.bytes, `the body of request ${plan.id} looks complete and is not`);
    const trailer = trailers.get("x-trailer");
    if (trailer !== undefined) assert.deepEqual([plan.body.trailers, trailer], [true, [`q${plan.id}`]]);
    assert.equal(this.#world.sentWhole.has(plan.id), true, `request ${plan.id} ended before its client had sent it`);
    if (!this.#answerBegun) this.#answerSoon();
  }

  #answerSoon(): void {
    this.#answerBegun = true;
    const plan = this.#plan!;
    this.#world.later(plan.answerDelayMs, () => {
      if (!this.#connection.closed && this.#plan === plan) this.#answer(plan);
    });
  }

  #answer(plan: Plan): void {
    const fault = plan.originFault;
    if (fault.kind === "noAnswer") this.#connection.destroy(undefined, fault.reset);
    else if (fault.kind === "garbage") this.#connection.writeLatin1("HTTP/1.1 two hundred\r\nx: y\r\n\r\n");
    else if (fault.kind !== "silence") this.#answerWith(this.#encode(plan), plan);
  }

  #answerWith(answer: Buffer, plan: Plan): void {
    const fault = plan.originFault;
    const { closes, untilClose } = this.#framingOf(plan);
    if (fault.kind === "truncate" && fault.afterBytes < answer.length) {
      const part = answer.subarray(0, fault.afterBytes);
      // Nobody can tell a body that ends with its connection from one whose connection ends too early, but by a reset.
      this.#send(part, plan, () => this.#connection.destroy(undefined, fault.reset || untilClose));
      return;
    }
    this.#send(answer, plan, () => {
      this.#answerEnded = true;
      this.#world.answeredWhole.add(plan.id);
      if (closes) this.#connection.end();
      else if (fault.kind === "closeIdle") this.#world.later(fault.afterMs, () => this.#closeIdle(plan));
    });
  }

  #closeIdle(plan: Plan): void {
    if (this.#plan === plan) this.#connection.destroy();
  }

  #framingOf(plan: Plan) {
    const bodyless = plan.method === "HEAD" || plan.status === 204 || plan.status === 304;
    const untilClose = plan.answer.framing === "close" && !bodyless;
    return { bodyless, untilClose, closes: plan.originCloses || plan.originHttp10 || untilClose };
  }

  #encode(plan: Plan): Buffer {
    const { bodyless, closes } = this.#framingOf(plan);
    const { framing, bytes, trailers } = plan.answer;
    const interim = plan.interim.map(
      (status) => `HTTP/1.1 ${status} Interim\r\nX-Id: ${plan.id}\r\nLink: </a>\r\n\r\n`,
    );
    const fields = [`X-Id: ${plan.id}`, "Connection: x-hop", "X-Hop: 1"];
    if (closes && !plan.originHttp10) fields[1] = "Connection: close, x-hop";
    if (plan.status !== 204 && framing === "length") fields.push(`Content-Length: ${bytes}`);
    if (plan.status !== 204 && framing === "chunked") fields.push("Transfer-Encoding: chunked");
    const version = plan.originHttp10 ? "HTTP/1.0" : "HTTP/1.1";
    const head = `${version} ${plan.status} ${REASON}\r\n${fields.join("\r\n")}\r\n\r\n`;
    const parts: Buffer[] = [Buffer.from(interim.join("") + head)];
    if (!bodyless) {
      const body = patternOf("a", plan.id, 0, bytes);
      if (framing !== "chunked") parts.push(body);
      else parts.push(this.#world.chunked(body), Buffer.from(trailers ? `X-Trailer: a${plan.id}\r\n\r\n` : "\r\n"));
    }
    return Buffer.concat(parts);
  }

  #send(bytes: Buffer, plan: Plan, done: () => void): void {
    this.#world.sendInParts(this.#connection, bytes, plan.inParts, done);
  }

  // ------------------------------------------------------------------------------------------------ a tunnel

  #switchProtocols(plan: Plan): void {
    this.#isTunnel = true;
    const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: model\r\nX-Id: ${plan.id}\r\n\r\n`;
    const answer = Buffer.concat([Buffer.from(head), patternOf("a", plan.id, 0, plan.upgrade!.originBytes)]);
    this.#world.later(plan.answerDelayMs, () => {
      this.#send(answer, plan, () => {
        this.#world.answeredWhole.add(plan.id);
        this.#connection.end();
      });
    });
  }

  #onTunnelBytes(bytes: Buffer): void {
    const plan = this.#plan!;
    assert.ok(this.#world.switched.has(plan.id), "bytes of a tunnel before the client had the 101");
    this.#onBody(bytes);
  }

  #onTunnelEnd(): void {
    const plan = this.#plan!;
    if (plan.clientFault.kind === "none") {
      assert.equal(this.#received, plan.upgrade!.clientBytes, `tunnel ${plan.id} ended before its bytes`);
    }
  }
}
