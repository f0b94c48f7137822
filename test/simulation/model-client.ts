// A client that asks for what its plans say, pipelined where that is allowed, and checks every byte of the answers: whose
// they are, in which order they come, and that an answer that looks complete is complete.

import assert from "node:assert/strict";
import type { ProxyError } from "../../src/core/errors.ts";
import type { Connection, ConnectionHandler } from "../../src/core/ports.ts";
import { announcedFraming, type Framing, type Head, MessageReader, single } from "./message-reader.ts";
import { type Plan, patternOf } from "./plan.ts";
import type { World } from "./world.ts";

/** How long a client waits for 100 before it sends its body all the same. */
const CONTINUE_MS = 700;
/** Longer than any answer takes, shorter than an idle connection is kept. */
const CLOSE_MS_MAX = 30_000;

export class ModelClient {
  readonly #world: World;
  readonly #plans: Plan[];
  readonly #pipelinedMax: number;

  constructor(world: World, plans: readonly Plan[], pipelinedMax: number) {
    this.#world = world;
    this.#plans = [...plans];
    this.#pipelinedMax = pipelinedMax;
    this.#connect();
  }

  /** A new connection for what was not sent yet. */
  #connect(): void {
    if (this.#plans.length === 0) return;
    this.#world.connect((connection) => {
      connection.handler = new ClientConnection(this.#world, connection, this.#plans, this.#pipelinedMax, () =>
        this.#connect(),
      );
    });
  }
}

class ClientConnection implements ConnectionHandler {
  readonly #world: World;
  readonly #connection: Connection;
  readonly #unsent: Plan[];
  readonly #pipelinedMax: number;
  readonly #onClosed: () => void;
  readonly #reader: MessageReader;

  /** Sent, at least in part, and not answered yet. */
  readonly #awaiting: Plan[] = [];
  #sending: Plan | null = null;
  #continue: (() => void) | null = null;
  /** No further request can be sent: an answer or a request said so, or the client gave up. */
  #last = false;
  #gaveUp = false;
  #ended = false;

  // The answer under way.
  #received = 0;
  #interim = 0;
  #isInterim = false;
  #isError = false;
  #closes = false;
  #tunnel: Plan | null = null;
  #tunnelEnded = false;

  constructor(world: World, connection: Connection, unsent: Plan[], pipelinedMax: number, onClosed: () => void) {
    this.#world = world;
    this.#connection = connection;
    this.#unsent = unsent;
    this.#pipelinedMax = pipelinedMax;
    this.#onClosed = onClosed;
    this.#reader = new MessageReader({
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => this.#onBody(bytes),
      onEnd: (trailers) => this.#onAnswerEnd(trailers),
      onRaw: (bytes) => this.#onBody(bytes),
    });
    this.#sendNext();
  }

  // ------------------------------------------------------------------------------------------------ requests

  #sendNext(): void {
    const next = this.#unsent[0];
    if (this.#sending !== null || this.#last || this.#connection.closed) return;
    if (next === undefined) {
      if (this.#awaiting.length === 0) this.#connection.end();
      return;
    }
    // Behind a request to switch protocols nothing is sent, and before it everything must have been answered.
    const depth = next.upgrade === null ? this.#pipelinedMax : 1;
    if (this.#awaiting.length >= depth) return;
    this.#unsent.shift();
    this.#sending = next;
    this.#awaiting.push(next);
    if (next.lastOfConnection || next.upgrade !== null) this.#last = true;
    this.#send(next);
  }

  #send(plan: Plan): void {
    const head = Buffer.from(headOf(plan, this.#world.host), "latin1");
    const body = patternOf("q", plan.id, 0, plan.body.bytes);
    const framed = plan.body.framing === "chunked" ? this.#chunked(plan, body) : body;
    const fault = plan.clientFault;
    if (fault.kind === "abortSending" && fault.afterBytes < head.length + framed.length) {
      const part = Buffer.concat([head, framed]).subarray(0, fault.afterBytes);
      this.#world.sendInParts(this.#connection, part, plan.inParts, () =>
        this.#giveUp(fault.reset ? "reset" : "close"),
      );
      return;
    }
    const done = () => {
      this.#sending = null;
      if (fault.kind === "abortWaiting") this.#world.later(fault.afterMs, () => this.#abort(plan, fault.how));
      this.#sendNext();
    };
    if (!plan.expectContinue) {
      if (plan.body.bytes === 0 || !plan.inParts) this.#world.sentWhole.add(plan.id);
      this.#world.sendInParts(this.#connection, Buffer.concat([head, framed]), plan.inParts, done, () =>
        this.#world.sentWhole.add(plan.id),
      );
      return;
    }
    if (framed.length === 0) this.#world.sentWhole.add(plan.id);
    this.#connection.write(head);
    this.#continue = () => {
      this.#continue = null;
      this.#world.sendInParts(this.#connection, framed, plan.inParts, done, () => this.#world.sentWhole.add(plan.id));
    };
    this.#world.later(CONTINUE_MS, () => {
      if (this.#sending === plan) this.#continue?.();
    });
  }

  #chunked(plan: Plan, body: Buffer): Buffer {
    const trailers = plan.body.trailers ? `X-Trailer: q${plan.id}\r\n\r\n` : "\r\n";
    return Buffer.concat([this.#world.chunked(body), Buffer.from(trailers)]);
  }

  #abort(plan: Plan, how: "fin" | "close" | "reset"): void {
    if (this.#awaiting.includes(plan) || this.#tunnel === plan) this.#giveUp(how);
  }

  #giveUp(how: "fin" | "close" | "reset"): void {
    this.#gaveUp = this.#last = true;
    if (how === "fin") this.#connection.end();
    else this.#connection.destroy(undefined, how === "reset");
  }

  // ------------------------------------------------------------------------------------------------- answers

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#reader.push(buffer.subarray(start, end));
  }

  onDrain(): void {}

  #onHead(head: Head): Framing {
    const plan = this.#awaiting[0];
    assert.ok(plan !== undefined, `an answer that nobody asked for: ${head.startLine}`);
    const match = /^HTTP\/1\.1 (\d{3}) /.exec(head.startLine);
    assert.ok(match !== null, `the status line is ${head.startLine}`);
    const status = Number(match[1]);
    for (const hop of ["x-hop", "keep-alive"]) assert.ok(!head.fields.has(hop), `${hop} crossed`);
    this.#received = 0;
    if (status === 101) return this.#onSwitch(plan, head);
    this.#isInterim = status < 200;
    if (this.#isInterim) return this.#onInterim(plan, status, head);

    this.#isError = head.fields.has("proxy-status");
    if (this.#isError) this.#checkError(plan, status);
    else {
      assert.equal(single(head, "x-id"), String(plan.id), "the answer to another request");
      assert.equal(status, plan.status, `the status of answer ${plan.id}`);
      assert.ok(head.fields.has("via") && head.fields.has("date"));
      assert.equal(this.#interim, plan.http10 ? 0 : plan.interim.length, `interim responses of ${plan.id}`);
    }
    this.#interim = 0;
    const framing = framingOf(plan, status, head);
    if (plan.http10) assert.notEqual(framing.kind, "chunked", "HTTP/1.0 knows no chunks");
    const saysClose = (single(head, "connection") ?? "").toLowerCase() === "close";
    this.#closes = saysClose || framing.kind === "close" || (plan.http10 && plan.lastOfConnection);
    if (plan.lastOfConnection) assert.ok(this.#closes, "the client asked to close, the answer does not agree");
    else if (this.#world.isCalm) assert.ok(!this.#closes || this.#world.mayClose(plan), `answer ${plan.id} closes`);
    if (this.#closes) this.#expectClose(plan);
    else if (plan.upgrade !== null) this.#last = false;
    this.#stall(plan);
    return framing;
  }

  #onInterim(plan: Plan, status: number, head: Head): Framing {
    assert.ok(!plan.http10, "HTTP/1.0 knows no interim responses");
    if (status === 100) {
      assert.ok(plan.expectContinue, "100 that was not asked for");
      if (this.#sending === plan) this.#continue?.();
    } else {
      assert.equal(single(head, "x-id"), String(plan.id), "the interim response to another request");
      assert.equal(status, plan.interim[this.#interim++]);
    }
    return { kind: "none" };
  }

  #onSwitch(plan: Plan, head: Head): Framing {
    assert.ok(plan.upgrade?.agreed, "nobody agreed to switch protocols");
    assert.equal(single(head, "x-id"), String(plan.id));
    assert.equal(single(head, "upgrade"), "model");
    this.#awaiting.shift();
    this.#tunnel = plan;
    this.#sending = null;
    this.#isError = false;
    this.#world.switched.add(plan.id);
    this.#stall(plan);
    this.#world.sendInParts(this.#connection, patternOf("q", plan.id, 0, plan.upgrade.clientBytes), plan.inParts, () =>
      this.#connection.end(),
    );
    return { kind: "switch" };
  }

  /** Behind its answer the proxy has to end the connection, without waiting for a deadline of an idle one. */
  #expectClose(plan: Plan): void {
    this.#last = true;
    this.#world.later(CLOSE_MS_MAX, () => {
      const answering = this.#awaiting[0] === plan;
      assert.ok(this.#ended || this.#connection.closed || answering, `the connection of ${plan.id} was not closed`);
    });
  }

  /** The proxy's own answer: only when somebody did something wrong. */
  #checkError(plan: Plan, status: number): void {
    assert.ok(
      !this.#world.isCalm,
      `the proxy answered request ${plan.id} with ${status}, and nobody did anything wrong`,
    );
    assert.ok([500, 502, 503, 504].includes(status), `the proxy answered request ${plan.id} with ${status}`);
  }

  #stall(plan: Plan): void {
    if (plan.clientFault.kind !== "stall") return;
    this.#connection.pause();
    this.#world.later(plan.clientFault.forMs, () => this.#connection.resume());
  }

  #onBody(bytes: Buffer): void {
    if (this.#isError) return;
    const plan = this.#tunnel ?? this.#awaiting[0]!;
    const expected = patternOf("a", plan.id, this.#received, this.#received + bytes.length);
    assert.ok(expected.equals(bytes), `the body of answer ${plan.id} differs behind byte ${this.#received}`);
    this.#received += bytes.length;
  }

  #onAnswerEnd(trailers: ReadonlyMap<string, readonly string[]>): void {
    if (this.#isInterim) return;
    const plan = this.#awaiting.shift()!;
    if (!this.#isError) {
      const bodyless = plan.method === "HEAD" || plan.status === 204 || plan.status === 304;
      assert.equal(this.#received, bodyless ? 0 : plan.answer.bytes, `answer ${plan.id} looks complete and is not`);
      const trailer = trailers.get("x-trailer");
      if (trailer !== undefined) assert.deepEqual([plan.answer.trailers, trailer], [true, [`a${plan.id}`]]);
      this.#world.countSuccess(plan);
    } else this.#world.countFailure();
    // An answer came before the body that it answers: a client that was told to close sends no more of it.
    if (this.#sending === plan) {
      if (this.#last) this.#giveUp("close");
      else this.#continue?.();
    }
    if (!this.#last) this.#world.later(this.#world.thinkMs(), () => this.#sendNext());
  }

  // ------------------------------------------------------------------------------------------------- the end

  onEnd(): void {
    this.#ended = true;
    this.#reader.end();
    const tunnel = this.#tunnel;
    if (tunnel !== null && !this.#gaveUp) {
      assert.equal(this.#received, tunnel.upgrade!.originBytes, `tunnel ${tunnel.id} ended before its bytes`);
      this.#tunnelEnded = true;
      this.#world.countSuccess(tunnel);
    }
    // A tunnel ends each way for itself; this client sends FIN when its own bytes are sent.
    if (tunnel === null) this.#connection.end();
    this.#mayBreak();
  }

  onClose(error: ProxyError | null): void {
    if (error !== null) this.#mayBreak();
    if (this.#tunnel !== null && !this.#tunnelEnded) this.#awaiting.push(this.#tunnel);
    for (const plan of this.#awaiting.splice(0)) this.#world.countAbandoned(plan);
    this.#onClosed();
  }

  /** An answer was cut: in a run without faults that must not be, unless the client itself left. */
  #mayBreak(): void {
    const cut = this.#awaiting[0];
    if (cut === undefined || this.#gaveUp) return;
    const mayBe = !this.#world.isCalm || this.#last || this.#world.mayStayUnanswered(cut);
    assert.ok(mayBe, `answer ${cut.id} was cut without a reason`);
  }
}

function headOf(plan: Plan, host: string): string {
  const version = plan.http10 ? "HTTP/1.0" : "HTTP/1.1";
  const connection = ["x-hop"];
  const lines = [`Host: ${host}`, `X-Id: ${plan.id}`, "X-Hop: 1"];
  if (plan.lastOfConnection && !plan.http10) connection.push("close");
  if (!plan.lastOfConnection && plan.http10) connection.push("keep-alive");
  if (plan.takesTrailers) {
    connection.push("te");
    lines.push("TE: trailers");
  }
  if (plan.upgrade !== null) {
    connection.push("upgrade");
    lines.push("Upgrade: model");
  }
  if (plan.expectContinue) lines.push("Expect: 100-continue");
  if (plan.body.framing === "length") lines.push(`Content-Length: ${plan.body.bytes}`);
  if (plan.body.framing === "chunked") lines.push("Transfer-Encoding: chunked");
  lines.push(`Connection: ${connection.join(", ")}`);
  return `${plan.method} /exchange/${plan.id}?q=${plan.id} ${version}\r\n${lines.join("\r\n")}\r\n\r\n`;
}

function framingOf(plan: Plan, status: number, head: Head): Framing {
  if (plan.method === "HEAD" || status === 204 || status === 304) return { kind: "none" };
  return announcedFraming(head, "close");
}
