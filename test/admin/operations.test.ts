// What can be asked of a running proxy, and in which form it answers: on both kinds of address.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { AdminStage, STATUS, type Where } from "./admin-stage.ts";

const KINDS: readonly Where[] = ["unix", "tcp"];

for (const where of KINDS) {
  describe(`on ${where}`, () => {
    test("GET / lists the operations, each with a sentence", async () => {
      using stage = await AdminStage.start(where);
      const { status, json } = await stage.ask("GET", "/");
      assert.equal(status, 200);
      const operations = json.operations as { method: string; path: string; sentence: string }[];
      assert.deepEqual(
        operations.map(({ method, path }) => `${method} ${path}`),
        [
          "GET /",
          "GET /status",
          "POST /reload",
          "POST /upgrade",
          "POST /drain",
          "POST /stop",
          "GET /cache/stats",
          "GET /cache/list",
          "POST /cache/purge",
          "POST /cache/verify",
        ],
      );
      for (const { sentence } of operations) assert.match(sentence, /^[A-Z].*\.$/);
    });

    test("GET /status is the status, for nobody to keep", async () => {
      using stage = await AdminStage.start(where);
      const { status, headers, json, text } = await stage.ask("GET", "/status?pretty");
      assert.deepEqual([status, json], [200, STATUS]);
      assert.equal(headers["content-type"], "application/json");
      assert.equal(headers["cache-control"], "no-store");
      assert.equal(Number(headers["content-length"]), Buffer.byteLength(text));
      assert.match(text, /\}\n$/);
      assert.deepEqual(stage.control.calls, ["status"]);
    });

    test("HEAD /status is the same without a body", async () => {
      using stage = await AdminStage.start(where);
      const { text } = await stage.ask("GET", "/status");
      const head = await stage.ask("HEAD", "/status");
      assert.deepEqual([head.status, head.text], [200, ""]);
      assert.equal(Number(head.headers["content-length"]), Buffer.byteLength(text));
    });

    test("POST /reload says what has changed", async () => {
      using stage = await AdminStage.start(where);
      const warnings = ["headgate.yaml:3:1: upstreams.app: no route sends requests here"];
      stage.control.reloading = async () => ({ kind: "loaded", change: "servers changed: web", warnings });
      const { status, json } = await stage.post("/reload");
      assert.deepEqual([status, json], [200, { change: "servers changed: web", warnings }]);
      assert.deepEqual(stage.control.calls, ["reload"]);
      assert.ok(stage.output.lines.includes("info admin: POST /reload"));
    });

    test("POST /reload says what is wrong: 422, and nothing has changed", async () => {
      using stage = await AdminStage.start(where);
      const problems = ["headgate.yaml:1:1: colour: unknown field"];
      stage.control.reloading = async () => ({ kind: "failed", problems });
      const { status, json } = await stage.post("/reload", "{}");
      assert.equal(status, 422);
      assert.deepEqual(json, {
        error: "the configuration was not loaded: the old one goes on serving",
        problems,
      });
    });

    test("POST /reload that makes no sense now: 409", async () => {
      using stage = await AdminStage.start(where);
      stage.control.reloading = async () => ({ kind: "refused", reason: "there is no file to read again" });
      const { status, json } = await stage.post("/reload");
      assert.deepEqual([status, json], [409, { error: "there is no file to read again" }]);
    });

    for (const [operation, state] of [
      ["drain", "draining"],
      ["stop", "stopping"],
    ] as const) {
      test(`POST /${operation} answers first, and its connection outlives the listener`, async () => {
        using stage = await AdminStage.start(where, { idleTimeoutMs: 20, timeoutCheckMs: 10 });
        const { promise: begun, resolve } = Promise.withResolvers<void>();
        stage.control[operation] = resolve;
        using asking = await Held.post(stage, `/${operation}`);
        assert.match(await asking.answered, /^HTTP\/1\.1 202 /);
        assert.match(asking.text, new RegExp(`"state": "${state}",\\s+"pid": ${STATUS.pid}`));
        await begun;
        // Another idle connection is closed in its time; this one is not, since its end says that the process has ended.
        using idle = await Held.get(stage, "/status");
        await idle.ended;
        stage.admin.close();
        await assert.rejects(stage.connect(), ({ code }: NodeJS.ErrnoException) =>
          ["ECONNREFUSED", "ENOENT"].includes(code ?? ""),
        );
        assert.equal(asking.isEnded, false);
      });
    }

    test("POST /drain of a client that does not wait for the answer drains all the same", async () => {
      using stage = await AdminStage.start(where);
      const { promise: begun, resolve } = Promise.withResolvers<void>();
      stage.control.drain = resolve;
      const socket = await stage.connect();
      socket.end(
        "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",
      );
      socket.destroySoon();
      await begun;
    });

    test("an operation that throws is a bug: 500, and the log has the rest", async () => {
      using stage = await AdminStage.start(where);
      stage.control.status = () => {
        throw new Error("secret words");
      };
      const { status, text } = await stage.ask("GET", "/status");
      assert.equal(status, 500);
      assert.doesNotMatch(text, /secret|Error|at /);
      assert.equal(stage.output.entries.at(-1)?.level, "error");
      assert.match(JSON.stringify(stage.output.entries.at(-1)), /secret words/);
    });
  });
}

describe("what is not there", () => {
  const cases: readonly [method: string, target: string, status: number, error: RegExp, allow?: string][] = [
    ["GET", "/nothing", 404, /^there is no \/nothing here; GET \/ lists what there is$/],
    ["GET", "/status/", 404, /\/status\//],
    ["GET", "//status", 404, /\/\/status/],
    ["GET", "http://127.0.0.1/status", 404, /there is no/],
    ["GET", "*", 404, /there is no/],
    ["GET", "/reload", 405, /^\/reload is not for GET, but for POST$/, "POST"],
    ["POST", "/status", 405, /^\/status is not for POST, but for GET and HEAD$/, "GET, HEAD"],
    ["OPTIONS", "/drain", 405, /OPTIONS/, "POST"],
    ["DELETE", "/stop", 405, /DELETE/, "POST"],
  ];
  for (const [method, target, status, error, allow] of cases) {
    test(`${method} ${target}: ${status}`, async () => {
      using stage = await AdminStage.start();
      const answer = await stage.ask(method, target);
      assert.deepEqual([answer.status, answer.headers.allow], [status, allow]);
      assert.match(String(answer.json.error), error);
      assert.equal(answer.headers["access-control-allow-origin"], undefined);
      assert.deepEqual(stage.control.calls, []);
    });
  }
});

/** A connection on which one request was sent, and that is kept. */
class Held {
  text = "";
  isEnded = false;
  readonly answered: Promise<string>;
  readonly ended: Promise<void>;
  readonly #close: () => void;

  private constructor(socket: Awaited<ReturnType<AdminStage["connect"]>>, head: string) {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.answered = promise;
    socket.setEncoding("utf8").on("data", (part: string) => {
      this.text += part;
      if (/\r\n\r\n.*\}\n$/s.test(this.text)) resolve(this.text);
    });
    this.ended = once(socket, "close").then(() => {
      this.isEnded = true;
    });
    this.#close = () => socket.destroy();
    socket.write(head);
  }

  static async post(stage: AdminStage, target: string): Promise<Held> {
    const fields = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n";
    return new Held(await stage.connect(), `POST ${target} HTTP/1.1\r\n${fields}`);
  }

  static async get(stage: AdminStage, target: string): Promise<Held> {
    return new Held(await stage.connect(), `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}
