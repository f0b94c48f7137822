// Answers of our own whose bodies are sent from files: in order and framed as any other, and the exchange lasts until they have left.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BODY_UNTIL_END } from "../../src/core/message.ts";
import type { AnswerSink, BodyProducer, ProducedBody } from "../../src/pipeline/body.ts";
import { PassThrough } from "../../src/pipeline/body.ts";
import type { Feature } from "../../src/pipeline/phases.ts";
import { createStage, type Stage, type StageOptions } from "../support/stage.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const FILE = Buffer.from(Array.from({ length: 100_000 }, (_, i) => `${i}\n`).join(""));
const DESCRIPTOR = 7;

/** A body from a file, in the hands of a test. */
class FileBody implements ProducedBody {
  sink!: AnswerSink;
  readonly calls: string[] = [];
  returned = 0;
  /** What sendFile said, in order. */
  readonly said: boolean[] = [];

  readonly produce: BodyProducer = (sink) => {
    this.sink = sink;
    this.begin();
    return this;
  };
  begin: () => void = () => {};

  send(offset: number, length: number): void {
    this.said.push(this.sink.sendFile(DESCRIPTOR, offset, length, () => this.returned++));
  }

  pause(): void {
    this.calls.push("pause");
  }

  resume(): void {
    this.calls.push("resume");
  }

  abort(): void {
    this.calls.push("abort");
  }
}

interface FileStage extends Stage {
  readonly body: FileBody;
}

function createFileStage(bodyBytes: number, options: StageOptions = {}): FileStage {
  const body = new FileBody();
  const stage = createStage({
    handler: (exchange) =>
      void exchange.respond({ status: 200, fields: [["Date", "x"]], body: body.produce, bodyBytes }),
    ...options,
  });
  stage.network.files = {
    read: (descriptor, offset, length) =>
      descriptor === DESCRIPTOR && offset + length <= FILE.length ? FILE.subarray(offset, offset + length) : null,
  };
  return { ...stage, body };
}

describe("an answer from a file", () => {
  it("of known length is sent in order with what is written, and ends when the file has left", () => {
    const stage = createFileStage(12);
    const { body } = stage;
    const states: number[][] = [];
    body.begin = () => {
      body.sink.write(Buffer.from("ab"), 0, 2);
      body.send(0, 4);
      body.sink.write(Buffer.from("cd"), 0, 2);
      body.send(4, 4);
      body.sink.end();
      states.push([body.returned, stage.ended.length]);
    };
    const client = stage.client().sends(GET + GET);
    const answer = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 12\r\n\r\nab0\n1\ncd2\n3\n";
    client.receives(answer + answer);
    assert.deepEqual(
      stage.ended.map(({ responseBodyBytes, error }) => [responseBodyBytes, error]),
      [
        [12, null],
        [12, null],
      ],
    );
    const first = [0, 0];
    assert.deepEqual([body.returned, states], [4, [first, [2, 1]]], "never within the call, and one after the other");
  });

  it("of unknown length is chunked, and until the end of the connection for HTTP/1.0", () => {
    const stage = createFileStage(BODY_UNTIL_END);
    const { body } = stage;
    body.begin = () => {
      body.send(0, 4);
      body.sink.write(Buffer.from("ab"), 0, 2);
      body.send(20, 30);
      body.sink.end();
    };
    const rest = FILE.toString("latin1", 20, 50);
    const client = stage.client().sends(GET);
    client.receives(
      `HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0\n1\n\r\n2\r\nab\r\n1e\r\n${rest}\r\n0\r\n\r\n`,
    );
    const old = stage.client().sends("GET / HTTP/1.0\r\n\r\n");
    old.receives(`HTTP/1.1 200 OK\r\nDate: x\r\nConnection: close\r\n\r\n0\n1\nab${rest}`);
    old.seesEnd();
    assert.deepEqual(
      stage.ended.map(({ responseBodyBytes }) => responseBodyBytes),
      [36, 36],
    );
  });

  it("is not asked for where there is no body, and an empty part is none", () => {
    const stage = createFileStage(4);
    const { body } = stage;
    let begun = 0;
    body.begin = () => {
      begun++;
      body.send(0, 0);
      body.send(0, 4);
      body.sink.end();
    };
    stage
      .client()
      .sends("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
      .receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\n");
    assert.equal(begun, 0);
    stage.client().sends(GET).receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\n0\n1\n");
    assert.deepEqual(body.said, [false, true]);
  });

  it("is cut when it is longer or shorter than was announced, or than the file is", () => {
    for (const [announced, offset, length, sent] of [
      [4, 0, 6, [false]],
      [8, 0, 6, [true]],
      [8, FILE.length - 4, 8, [true]],
    ] as const) {
      const stage = createFileStage(announced);
      const { body } = stage;
      body.begin = () => {
        body.send(offset, length);
        body.sink.end();
      };
      const client = stage.client().sends(GET);
      client.seesReset();
      assert.deepEqual(body.said, sent);
      assert.equal(body.returned, sent[0] ? 1 : 0);
      const [ended] = stage.ended;
      assert.notEqual(ended!.error, null);
    }
  });

  it("pushes back while a slow client takes it, and the next request waits until it has left", () => {
    const stage = createFileStage(FILE.length + 4);
    const { body } = stage;
    body.begin = () => body.send(0, FILE.length);
    const client = stage
      .client()
      .sends(GET + GET)
      .stopsReading();
    stage.network.run();
    assert.deepEqual([body.calls, body.returned], [["pause"], 0]);
    client.readsOn();
    stage.network.run();
    assert.deepEqual([body.calls, body.returned], [["pause", "resume"], 1]);
    body.begin = () => {};
    body.send(0, 4);
    assert.equal(stage.ended.length, 0);
    body.sink.end();
    assert.equal(stage.ended.length, 0, "the file has not left");
    stage.network.run();
    assert.equal(stage.ended.length, 1);
    const received = client.takes().toString("latin1");
    assert.equal(received.length, 2 * received.indexOf("\r\n\r\n") + 8 + FILE.length + 4, "the second head follows");
  });

  it("that a client leaves in the middle is counted as far as it went, and what it needed is given back", () => {
    const stage = createFileStage(FILE.length);
    const { body } = stage;
    body.begin = () => {
      body.send(0, FILE.length);
      body.sink.end();
    };
    const client = stage.client().sends(GET).stopsReading();
    stage.network.run();
    client.resets();
    stage.network.run();
    const [ended] = stage.ended;
    const head = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 588890\r\n\r\n".length;
    assert.equal(FILE.length, 588_890);
    assert.equal(ended!.responseBodyBytes, stage.network.kernelBufferBytes - head);
    assert.equal(ended!.error!.status, 499);
    assert.deepEqual([body.calls, body.returned], [["pause"], 1], "who has ended is only given back what it lent");
  });

  it("that a client does not take at all ends at the deadline, however small it is", () => {
    const stage = createFileStage(100, { limits: { bodyTimeoutMs: 1_000 }, network: { kernelBufferBytes: 64 } });
    const { body } = stage;
    body.begin = () => {
      body.send(0, 100);
      body.sink.end();
    };
    stage.client().sends(GET).stopsReading();
    stage.network.run();
    stage.passes(3_000);
    const [ended] = stage.ended;
    assert.equal(ended!.error!.type, "connection_write_timeout");
    assert.equal(body.returned, 1);
    assert.ok(ended!.responseBodyBytes < 64);
  });

  it("is cut by a feature that fails it while it leaves", () => {
    const stage = createFileStage(FILE.length);
    const { body } = stage;
    body.begin = () => {
      body.send(0, FILE.length);
      body.sink.end();
    };
    const client = stage.client().sends(GET).stopsReading();
    stage.network.run();
    stage.driver.destroy();
    stage.network.run();
    client.readsOn();
    client.seesReset();
    assert.equal(body.returned, 1);
    assert.ok(stage.ended[0]!.responseBodyBytes < FILE.length);
  });

  it("that features transform has to be read, and nothing is done", () => {
    const seen: Feature = {
      name: "seen",
      responseBody: (_exchange, next, source) => new PassThrough(next, source),
    };
    const stage = createFileStage(4, { use: [seen] });
    const { body } = stage;
    body.begin = () => {
      body.send(0, 4);
      body.sink.write(FILE, 0, 4);
      body.sink.end();
    };
    stage.client().sends(GET).receives("HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 4\r\n\r\n0\n1\n");
    assert.deepEqual([body.said, body.returned], [[false], 0]);
  });

  it("takes nothing when the client has left, or it was ended", () => {
    const stage = createFileStage(BODY_UNTIL_END);
    const { body } = stage;
    const client = stage.client().sends(GET);
    stage.network.run();
    client.resets();
    stage.network.run();
    body.send(0, 4);
    assert.deepEqual([body.said, body.returned, body.calls], [[false], 0, ["abort"]]);
    stage.client().sends(GET);
    stage.network.run();
    body.send(0, 4);
    body.sink.end();
    body.send(0, 4);
    assert.deepEqual(body.said, [false, true, false]);
  });

  it("whose owner throws when it is given back is an exchange that fails", () => {
    const stage = createFileStage(FILE.length);
    const { body } = stage;
    body.begin = () => {
      body.sink.sendFile(DESCRIPTOR, 0, 4, () => {
        throw new Error("given back");
      });
      body.sink.sendFile(DESCRIPTOR, 4, FILE.length - 4, () => body.returned++);
      body.sink.end();
    };
    stage.client().sends(GET).stopsReading();
    stage.network.run();
    assert.equal(stage.ended[0]!.error!.message, "given back");
    assert.equal(body.returned, 1);
  });
});
