/**
 * What a process hands to the one that takes its place, and what the two say to each other until it has: the listening sockets stay open
 * throughout, so that no connection waits in vain.
 *
 * The sockets are inherited, as the descriptors behind those that every process has; which they are is in an environment variable. The two speak
 * over Node's channel between a process and its child:
 *
 *     successor:    serving     it accepts on the sockets; only the admin interface is not open
 *     predecessor:  yours       its admin interface is closed
 *     successor:    done        everything is open
 *
 * A successor that ends before that has taken nothing.
 */
import type { Address } from "../../core/ports.ts";

export const HANDOVER_VARIABLE = "HEADGATE_HANDOVER";

/** Behind input, output, errors and the channel. */
export const DESCRIPTOR_FIRST = 4;

/** An address that the predecessor listens on. */
export interface HandedAddress {
  /** As in its configuration: ":8080". */
  readonly listen: string;
  /** With the port that it really has. */
  readonly address: Address;
  /** The sockets, as the successor has them; none where each thread binds for itself, who can do that beside others then. */
  readonly descriptors: readonly number[];
}

export type FromSuccessor =
  | { readonly kind: "serving" }
  | { readonly kind: "done" }
  /** Why it cannot, in lines; then it ends. */
  | { readonly kind: "failed"; readonly lines: readonly string[] };
export type ToSuccessor = { readonly kind: "yours" };
