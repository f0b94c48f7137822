// A service on the simulated network, and calls to it over a pool of its own: for tests of calls, and of features that
// make them. What a call holds is counted at the end, so that a leak fails the test.

import assert from "node:assert/strict";
import { DeadlineWheel } from "../../src/core/deadlines.ts";
import type { ProxyError } from "../../src/core/errors.ts";
import { FieldBlock } from "../../src/core/fields.ts";
import type { HttpAnswer, HttpAnswerHandler, HttpCall, PendingCall } from "../../src/core/ports.ts";
import { UpstreamClient } from "../../src/pipeline/calls.ts";
import { type ScriptedOrigin, SeededRandom, SimulatedNetwork } from "../../src/testing/index.ts";
import { resolveUpstream } from "../../src/upstreams/options.ts";
import { type PoolOptions, UpstreamPool } from "../../src/upstreams/pool.ts";

const SERVICE = "auth:80";

/** What became of a call. */
export class CallRecord implements HttpAnswerHandler {
  pending: PendingCall | null = null;
  answer: { readonly status: number; readonly fields: [string, string][]; readonly body: string } | null = null;
  error: ProxyError | null = null;
  /** Calls of the handler. */
  told = 0;

  onAnswer({ status, fields, body }: HttpAnswer): void {
    this.told++;
    this.answer = { status, fields: [...fields.entries()], body: body.toString("latin1") };
    fields.release();
  }

  onFailed(error: ProxyError): void {
    this.told++;
    this.error = error;
  }
}

export class CallStage {
  readonly network: SimulatedNetwork;
  readonly service: ScriptedOrigin;
  readonly deadlines: DeadlineWheel;
  readonly pool: UpstreamPool;
  readonly client: UpstreamClient;

  /** `around`: the network and the deadlines of a proxy that is there already. */
  constructor(
    pool: Partial<Omit<PoolOptions, "servers">> = {},
    around?: { readonly network: SimulatedNetwork; readonly deadlines: DeadlineWheel },
  ) {
    this.network = around?.network ?? new SimulatedNetwork();
    const { clock } = this.network;
    this.deadlines = around?.deadlines ?? new DeadlineWheel(clock);
    this.service = this.network.origin(SERVICE);
    const place = { url: `http://${SERVICE}`, scheme: "http", host: "auth", port: 80, authority: SERVICE } as const;
    this.pool = new UpstreamPool(
      {
        ...resolveUpstream("auth", [{ ...place, weight: 1 }], []),
        ...pool,
        servers: [{ ...place, weight: 1, tls: null }],
      },
      { dialer: this.network, clock, deadlines: this.deadlines, random: this.network.random ?? new SeededRandom(1) },
    );
    this.client = new UpstreamClient(this.pool, this.deadlines);
  }

  send(
    call: Partial<Omit<HttpCall, "fields">> & { readonly fields?: readonly (readonly [string, string])[] } = {},
  ): CallRecord {
    const record = new CallRecord();
    record.pending = this.client.send(
      {
        method: "GET",
        target: "/verify",
        body: null,
        answerBytesMax: 1000,
        timeoutMs: 5_000,
        ...call,
        fields: FieldBlock.from(call.fields ?? []),
      },
      record,
    );
    return record;
  }

  passes(ms: number): void {
    this.network.clock.advance(ms);
    this.network.run();
  }

  /** Nothing waits for a connection, and none is in use. */
  assertNothingHeld(): void {
    this.network.run();
    assert.equal(this.pool.waiting, 0, "nothing waits for a connection");
    assert.equal(this.pool.connections - this.pool.idleConnections, 0, "no connection is in use");
  }

  /** For the end of a test. */
  finish(): void {
    this.assertNothingHeld();
    this.pool.destroy();
    this.network.run();
    assert.equal(this.pool.connections, 0);
    // Not even one that was disarmed: the wheel would keep what it belongs to.
    assert.equal(this.deadlines.size, 0, "no deadline is left");
    this.network.runUntilIdle();
  }
}
