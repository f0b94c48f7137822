// What the tests of TLS on existing connections share: certificates, options, and the two ends put under TLS as promises.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Connection, DialHandler, DialTls, PendingDial, ServeTls } from "../../src/core/ports.ts";
import { Authority, issueCertificate } from "./certificates.ts";
import { Recording, TransportStage } from "./transport-stage.ts";

const authority = new Authority();
const issued = issueCertificate({ names: ["app.internal"], issuer: authority });

export const trusted: string = authority.cert;
export const serving: ServeTls = { ...issued, minVersion: "TLSv1.2", alpn: ["http/1.1"] };
export const dialing: DialTls = {
  serverName: "app.internal",
  verify: true,
  ca: authority.cert,
  cert: null,
  key: null,
  minVersion: "TLSv1.2",
  alpn: ["http/1.1"],
};

export const NOTHING: Buffer = Buffer.alloc(0);
/** Long enough for the slowest machine: what waits for it has failed. */
export const TIMEOUT_MS = 20_000;

export interface LayerOptions {
  readonly early?: Buffer;
  readonly timeoutMs?: number;
  readonly serve?: ServeTls;
  readonly connect?: DialTls;
  /** Told before anything else can happen. */
  readonly onPending?: (pending: PendingDial) => void;
}

export class TlsLayerStage extends TransportStage {
  readonly #secured: Connection[] = [];

  /** Resolves with the connection that speaks TLS; rejects with the ProxyError. */
  serveTls(connection: Connection, options: LayerOptions = {}): Promise<Recording> {
    const { early = NOTHING, timeoutMs = TIMEOUT_MS, serve = serving, onPending } = options;
    return this.#begin((handler) => {
      const pending = this.transport.tls.serve(connection, early, serve, timeoutMs, handler);
      onPending?.(pending);
    });
  }

  connectTls(connection: Connection, options: LayerOptions = {}): Promise<Recording> {
    const { early = NOTHING, timeoutMs = TIMEOUT_MS, connect = dialing, onPending } = options;
    return this.#begin((handler) => {
      const pending = this.transport.tls.connect(connection, early, connect, timeoutMs, handler);
      onPending?.(pending);
    });
  }

  /** Both ends of a connection through the transport, which speak TLS. */
  async securedPair(options: LayerOptions = {}): Promise<{ readonly near: Recording; readonly far: Recording }> {
    const { near, far } = await this.pair();
    return this.secure(near, far, options);
  }

  async secure(
    near: Recording,
    far: Recording,
    options: LayerOptions = {},
  ): Promise<{ readonly near: Recording; readonly far: Recording }> {
    const [client, server] = await Promise.all([
      this.connectTls(near.connection, options),
      this.serveTls(far.connection, options),
    ]);
    return { near: client, far: server };
  }

  #begin(begin: (handler: DialHandler) => void): Promise<Recording> {
    const { promise, resolve, reject } = Promise.withResolvers<Recording>();
    let isLater = false;
    begin({
      onConnected: (connection) => {
        assert.ok(isLater, "told in a later turn");
        this.#secured.push(connection);
        resolve(new Recording(connection));
      },
      onFailed: (error) => {
        assert.ok(isLater, "told in a later turn");
        reject(error);
      },
    });
    isLater = true;
    return promise;
  }

  override [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#secured.splice(0)) connection.destroy();
    return super[Symbol.asyncDispose]();
  }
}

/** Descriptors of this process. */
export const countDescriptors = (): number => readdirSync("/proc/self/fd").length;

/** Sockets are closed at the end of a turn, on either side. */
export async function untilDescriptors(count: number): Promise<void> {
  for (let turn = 0; countDescriptors() > count; turn++) {
    assert.ok(turn < 2_000, `${countDescriptors()} descriptors are open, there were ${count}`);
    await nextTurn();
  }
}
