/** What a simulated connection and the network that it is a part of know of each other. */
import type { SimulatedConnection } from "./connection.ts";
import type { DeliverySlab } from "./delivery-slab.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** How received bytes are cut into calls: all that is there, one byte each, or pieces of random lengths. */
export type Fragmentation = "whole" | "bytes" | "random";

/** What has something to do: the network calls `act` once for each time it was scheduled. */
export interface Actor {
  /** Set while the network holds it in its list. */
  scheduled: boolean;
  act(): void;
}

/** What descriptors stand for where there is no kernel. */
export interface SimulatedFiles {
  /** null: it is not open, or there is less of it. */
  read(descriptor: number, offset: number, length: number): Buffer | null;
}

/** The network as a connection sees it. */
export interface Wire {
  readonly random: SeededRandom | null;
  readonly fragmentation: Fragmentation;
  /** Bytes that both kernels hold for one direction. */
  readonly kernelBufferBytes: number;
  readonly slab: DeliverySlab;
  /** null: nothing can be sent from a file. */
  readonly files: SimulatedFiles | null;
  /** Whether the next pair that could be spliced is. */
  grantsSplice(): boolean;
  countSpliced(bytes: number): void;
  schedule(actor: Actor): void;
  closed(connection: SimulatedConnection): void;
  /** Calls `arrive` when what leaves now in this direction of this connection reaches the other end. */
  transit(lane: TransitLane, arrive: () => void): void;
}

/** One direction of a connection: nothing overtakes what left before it. */
export interface TransitLane {
  /** When the last thing that left arrives. */
  lastArrivalMs: number;
}
