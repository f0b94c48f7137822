// The feature forwardAuth in a proxy on the simulated network: a client, the service that is asked, and the origin,
// each played by the test.

import assert from "node:assert/strict";
import type { z } from "zod";
import { acquireStorage, pooledStorages, releaseStorage } from "../../src/core/fields.ts";
import { createForwardAuthFeature } from "../../src/features/forward-auth/index.ts";
import { forwardAuthOptions } from "../../src/features/forward-auth/options.ts";
import {
  createTestProxy,
  type Peer,
  type ReceivedHead,
  type ScriptedOrigin,
  type TestProxy,
  type TestProxyOptions,
} from "../../src/testing/index.ts";
import { CallStage } from "./call-stage.ts";

export type ForwardAuthInput = Partial<z.input<typeof forwardAuthOptions>>;

export const ORIGIN_OK = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi";
export const LETS_GO = "HTTP/1.1 204 No Content\r\n\r\n";

/** A request that arrived at a server that the test plays. */
export interface Arrived {
  readonly head: ReceivedHead;
  readonly peer: Peer;
}

/** Takes the requests of a server, on whichever connection they come. */
class Server {
  readonly #origin: ScriptedOrigin;
  readonly #peers: Peer[] = [];

  constructor(origin: ScriptedOrigin) {
    this.#origin = origin;
  }

  next(): Arrived {
    for (const peer of this.#peers) if (!peer.closed && peer.unread !== "") return { head: peer.receivesHead(), peer };
    const peer = this.#origin.accepts();
    this.#peers.push(peer);
    return { head: peer.receivesHead(), peer };
  }

  hasNone(): void {
    for (const peer of this.#peers) assert.equal(peer.closed ? "" : peer.unread, "");
    this.#origin.acceptsNothing();
  }
}

export class ForwardAuthStage {
  readonly calls: CallStage;
  readonly proxy: TestProxy;
  readonly #service: Server;
  readonly #origin: Server;
  /** Memory of field sections that is at rest. */
  readonly #storages: number;

  constructor(input: ForwardAuthInput = {}, options: Omit<TestProxyOptions, "network"> = {}, calls = new CallStage()) {
    this.calls = calls;
    // So many at rest that no exchange need make one.
    const storages = Array.from({ length: 30 }, () => acquireStorage());
    for (const storage of storages) releaseStorage(storage);
    this.#storages = pooledStorages();
    const feature = createForwardAuthFeature(forwardAuthOptions.parse({ address: "http://auth/verify", ...input }), {
      http: calls.client,
      deadlines: calls.deadlines,
    });
    this.proxy = createTestProxy({ ...options, use: [...(options.use ?? []), feature], network: calls.network });
    this.#service = new Server(calls.service);
    this.#origin = new Server(this.proxy.origin);
  }

  /** A client that asks with these lines behind Host. */
  client(lines = "", start = "GET /app?a=b HTTP/1.1"): Peer {
    return this.proxy.connect().sends(`${start}\r\nHost: example.org\r\n${lines}\r\n`);
  }

  /** The service's next question. */
  async asked(): Promise<Arrived> {
    await this.settles();
    return this.#service.next();
  }

  /** The service is not asked. */
  async asksNothing(): Promise<void> {
    await this.settles();
    this.#service.hasNone();
  }

  /** The service answers its next question; the head of it. */
  async answers(answer: string): Promise<ReceivedHead> {
    const { head, peer } = await this.asked();
    peer.sends(answer);
    await this.settles();
    return head;
  }

  async settles(): Promise<void> {
    await this.calls.network.settle();
  }

  /** The request goes on: the head that arrives at the origin, which answers. */
  goesOn(answer = ORIGIN_OK): ReceivedHead {
    this.calls.network.run();
    const { head, peer } = this.#origin.next();
    peer.takes();
    peer.sends(answer);
    this.calls.network.run();
    return head;
  }

  /** Nothing arrives at the origin. */
  async stops(): Promise<void> {
    await this.settles();
    this.#origin.hasNone();
  }

  /** For the end of a test: nothing is left anywhere. */
  async finish(): Promise<void> {
    await this.settles();
    this.calls.assertNothingHeld();
    assert.deepEqual(this.proxy.finish(), []);
    this.calls.finish();
    assert.equal(pooledStorages(), this.#storages, "the memory of all fields is given back");
  }
}
