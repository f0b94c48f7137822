// The simulated network behind the interface of a transport, so that the contract suite holds what every other test relies
// on to the same contract as the real transports. Its events run a few at a time, in turns of the event loop.

import type net from "node:net";
import type { Connection, Dialer, DialHandler, DialTarget, PendingDial, TlsLayer } from "../../src/core/ports.ts";
import type { ListenOptions, Transport, TransportListener } from "../../src/io/transport.ts";
import { SimulatedNetwork } from "../../src/testing/network.ts";

/** Two parties that answer each other for ever must not keep the event loop. */
const STEPS_PER_TURN = 1_000;
const FIRST_PORT = 20_000;

export class SimulatedTransport implements Transport, Dialer {
  readonly name = "net";
  readonly dialer: Dialer = this;
  readonly #network = new SimulatedNetwork({ splices: true });
  #port = FIRST_PORT;
  #isPumping = false;
  #idleTurns = 0;

  listen(options: ListenOptions, onConnection: (connection: Connection) => void): Promise<TransportListener> {
    const { path, host, port } = options;
    const place = path === null ? `${host ?? "127.0.0.1"}:${port === 0 ? this.#port++ : port}` : `unix:${path}`;
    const listener = this.#network.listen(place, onConnection);
    return Promise.resolve({
      address: listener.address,
      close: () => listener.close(),
      updateTls() {},
      takeWaiting: () => Promise.resolve(),
      whenHandshakesEnd: () => Promise.resolve(),
    });
  }

  dial(target: DialTarget, handler: DialHandler): PendingDial {
    this.#pump();
    return this.#network.dial(target, handler);
  }

  dialerWith(): Dialer {
    return this;
  }

  adopt(_socket: net.Socket): Connection {
    throw new Error("the simulated network has no sockets to adopt");
  }

  get tls(): TlsLayer {
    throw new Error("the simulated network does not encrypt");
  }

  get openConnections(): number {
    return this.#network.leftovers().length;
  }

  /** Runs events as long as there is a connection at which something may happen. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    const turn = (): void => {
      let steps = 0;
      while (steps < STEPS_PER_TURN && this.#network.step()) steps++;
      this.#idleTurns = steps > 0 || this.openConnections > 0 ? 0 : this.#idleTurns + 1;
      if (this.#idleTurns > 1) this.#isPumping = false;
      else setImmediate(turn);
    };
    setImmediate(turn);
  }
}
