/**
 * A request's way through parents: the first one of the list that can be reached has it. Another one is tried only when nothing
 * of the request was sent: one that has answered, whatever it says, has decided.
 */

import { ProxyError } from "../core/errors.ts";
import { FIELD_HOST } from "../core/field-names.ts";
import type { Destination, DestinationAccess, Forwarding } from "../pipeline/forwarding.ts";
import type { Sender, UpstreamHandler } from "../pipeline/upstream.ts";
import { canonicalAddress } from "../semantics/cidr.ts";
import type { LeaseFailed } from "../upstreams/pool.ts";
import type { Parent } from "./parent.ts";
import { ParentUnreachable } from "./parent-dialer.ts";
import type { Way } from "./ways.ts";

export interface ParentLessor {
  /** Calls the handler once there is a stream, `failed` when there is none; sets whom to ask to give up. */
  leaseThrough(parent: Parent, way: Way, sender: Sender, handler: UpstreamHandler, failed: LeaseFailed): void;
  /** Coarse, monotonic. */
  readonly nowMs: number;
}

export class ParentLease implements LeaseFailed {
  readonly #lessor: ParentLessor;
  readonly #way: Way;
  readonly #sender: Sender;
  readonly #handler: UpstreamHandler;
  #trying: Parent;
  #failures: Map<Parent, ProxyError> | null = null;

  constructor(lessor: ParentLessor, way: Way, sender: Sender, handler: UpstreamHandler) {
    this.#lessor = lessor;
    this.#way = way;
    this.#sender = sender;
    this.#handler = handler;
    this.#trying = way.parents[0]!;
  }

  begin(forward: Forwarding, access: DestinationAccess): void {
    const { host, address, kind } = forward.destination;
    // A name is resolved by the parent, and what is known here is refused here.
    const known = address ?? canonicalAddress(host);
    const refusal = known === null ? null : access.refusalOf(known);
    if (refusal !== null) return this.#handler.onLeaseFailed(refusal);
    if (kind === "http" && !this.#way.isSocks) settleHost(this.#sender, forward.destination);
    this.#next();
  }

  onLeaseFailed(error: ProxyError): void {
    if (!(error instanceof ParentUnreachable)) return this.#handler.onLeaseFailed(error);
    this.#failures ??= new Map();
    this.#failures.set(this.#trying, error);
    if (this.#failures.size < this.#way.parents.length) this.#next();
    else this.#handler.onLeaseFailed(failureOfAll([...this.#failures.values()]));
  }

  #next(): void {
    const parent = this.#choose();
    this.#trying = parent;
    this.#sender.forward!.via = parent.name;
    this.#lessor.leaseThrough(parent, this.#way, this.#sender, this.#handler, this);
  }

  /** The first one that is well; when none is, the first one that was not tried yet. */
  #choose(): Parent {
    const { nowMs } = this.#lessor;
    let avoided: Parent | null = null;
    for (const parent of this.#way.parents) {
      if (this.#failures?.has(parent) === true) continue;
      if (parent.mayBeTried(nowMs)) return parent;
      avoided ??= parent;
    }
    return avoided!;
  }
}

/** An HTTP/1.0 client may name no host, and a connection that was redirected here has one all the same. */
function settleHost({ request }: Sender, { host, port }: Destination): void {
  if (request.fields.rowOfId(FIELD_HOST) >= 0) return;
  const name = host.includes(":") ? `[${host}]` : host;
  request.fields.set("Host", request.authority || (port === 80 ? name : `${name}:${port}`));
}

function failureOfAll(failures: readonly ProxyError[]): ProxyError {
  const [first] = failures;
  if (failures.length === 1) return first!;
  const message = failures.map((failure) => failure.message).join("; ");
  // Every way was tried: to try them all again at once helps nobody.
  const { type, status, side } = first!;
  return new ProxyError(type, message, {
    status,
    side,
    retryable: false,
    cause: new AggregateError(failures, message),
  });
}
