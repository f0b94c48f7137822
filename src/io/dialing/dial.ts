/**
 * Connecting to an upstream: name, address racing (RFC 8305), and what follows the connect, all within one deadline and
 * cancellable at every stage. It decides which address wins and what the failure of all of them is called; whether to try
 * again, and which server, is decided by the caller. It never touches a socket: a transport does, by `Connecting`; and no socket is
 * asked for before the target's filter has admitted the very address that it goes to, resolved or literal.
 */
import { ProxyError } from "../../core/errors.ts";
import { CONNECTION_ATTEMPT_DELAY_MS } from "../../core/limits.ts";
import type {
  Address,
  Connection,
  Dialer,
  DialHandler,
  DialTarget,
  PendingDial,
  TimerHandle,
} from "../../core/ports.ts";
import { describeHostPort, literalAddress, withoutZone } from "../addresses.ts";
import { failureOf, type SystemError, systemErrorOf } from "../failures.ts";
import type { AttemptHandler, CompletionHandler, Connecting, DialOwner } from "./connecting.ts";
import type { NameCache, ResolvedAddress, ResolveHandler } from "./name-cache.ts";
import { tellConnected, tellFailed } from "./telling.ts";

export class RacingDialer<Socket> implements Dialer {
  readonly owner: DialOwner;
  readonly names: NameCache;
  readonly connecting: Connecting<Socket>;

  constructor(owner: DialOwner, names: NameCache, connecting: Connecting<Socket>) {
    this.owner = owner;
    this.names = names;
    this.connecting = connecting;
  }

  dial(target: DialTarget, handler: DialHandler): PendingDial {
    const dial = new Dial(this, target, handler);
    dial.start();
    return dial;
  }
}

/** How messages name a target: "db.internal:5432", "[::1]:80", "unix:/run/app.sock". */
export function describeTarget(target: DialTarget): string {
  return target.port === 0 ? `unix:${target.host}` : describeHostPort(target.host, target.port);
}

/** One socket that is on its way to one address. */
class Attempt<Socket> implements AttemptHandler<Socket> {
  readonly remote: Address;
  readonly #dial: Dial<Socket>;
  /** Null until the transport has returned. */
  pending: PendingDial | null = null;

  constructor(dial: Dial<Socket>, remote: Address) {
    this.#dial = dial;
    this.remote = remote;
  }

  onConnected(socket: Socket, local: Address): void {
    this.#dial.attemptConnected(this, socket, local);
  }

  onRefused(error: SystemError): void {
    this.#dial.attemptFailed(this, error);
  }
}

/** Told in the error of all of them: more than these say nothing more. */
const FAILURES_MAX = 8;

class Dial<Socket> implements PendingDial, ResolveHandler, CompletionHandler {
  readonly #dialer: RacingDialer<Socket>;
  readonly #owner: DialOwner;
  readonly #target: DialTarget;
  readonly #handler: DialHandler;
  #stage: "resolving" | "connecting" | "completing" | "done" = "resolving";
  #deadline: TimerHandle | null = null;
  #resolving: TimerHandle | null = null;
  /** For the family that is late. */
  #resolvingRest: TimerHandle | null = null;
  #nextAttempt: TimerHandle | null = null;
  /** Those that may be connected to, in the order in which they are tried. */
  #addresses: readonly ResolvedAddress[] = [];
  /** How many of them were tried. */
  #tried = 0;
  /** All that the name has resolved to so far. */
  #resolved: readonly ResolvedAddress[] = [];
  /** More may come. */
  #isPart = false;
  #refusal: ProxyError | null = null;
  readonly #attempts = new Set<Attempt<Socket>>();
  readonly #failures: ProxyError[] = [];
  #completing: PendingDial | null = null;

  constructor(dialer: RacingDialer<Socket>, target: DialTarget, handler: DialHandler) {
    this.#dialer = dialer;
    this.#owner = dialer.owner;
    this.#target = target;
    this.#handler = handler;
  }

  start(): void {
    const { host, port, timeoutMs } = this.#target;
    const literal = port === 0 ? null : literalAddress(host, port);
    const objection =
      this.#dialer.connecting.objectionTo(this.#target) ?? (literal === null ? null : this.#refusalOf(literal.address));
    if (objection !== null) {
      this.#failLater(objection);
      return;
    }
    this.#deadline = this.#owner.clock.after(timeoutMs, () => this.#timedOut());
    if (port === 0) this.#connectTo({ family: 0, address: host, port: 0 });
    else if (literal !== null) this.#connectTo(literal);
    else this.#resolving = this.#dialer.names.resolve(host, this);
  }

  cancel(): void {
    if (this.#stage === "done") return;
    const isCompleting = this.#stage === "completing";
    this.#stage = "done";
    this.#deadline?.cancel();
    this.#resolving?.cancel();
    this.#dropAttempts();
    if (isCompleting) {
      this.#completing?.cancel();
      this.#owner.countAttempt(-1);
    }
  }

  onResolved(addresses: readonly ResolvedAddress[], isPart: boolean): void {
    if (this.#stage !== "resolving" && this.#stage !== "connecting") return;
    const before = this.#resolved;
    this.#resolved = addresses;
    this.#isPart = isPart;
    const admitted: ResolvedAddress[] = [];
    for (const resolved of addresses) {
      if (before.some(({ address }) => address === resolved.address)) continue;
      const reason = this.#refusalOf(resolved.address);
      if (reason === null) admitted.push(resolved);
      else this.#refusal ??= reason;
    }
    this.#addresses = [...this.#addresses, ...interleave(admitted)];
    // What a family that is late has joins the race when it comes (RFC 8305, section 3): the other one may lead nowhere.
    if (isPart) this.#resolvingRest = this.#dialer.names.resolveRest(this.#target.host, this);
    if (this.#tried >= this.#addresses.length) this.#giveUp();
    else if (this.#attempts.size === 0) this.#tryNext();
    else this.#nextAttempt ??= this.#tryNextLater();
  }

  /** Unless something is under way, or may come. */
  #giveUp(): void {
    if (this.#isPart || this.#attempts.size > 0) return;
    if (this.#failures.length > 0) this.#fail(failureOfAll(this.#failures));
    else this.#failLater(this.#refusal!);
  }

  /** What this dial was asked to keep away from, whatever a name resolves to this time: no DNS rebinding. */
  #refusalOf(address: string): ProxyError | null {
    return this.#target.addresses?.refusalOf(withoutZone(address)) ?? null;
  }

  onUnresolved(error: ProxyError): void {
    this.#failLater(new ProxyError(error.type, `${this.#cannot()}: ${error.message}`, { cause: error }));
  }

  /** RFC 8305, section 5: one address after the other, each with a head start, at once when the one before has failed. */
  #tryNext(): void {
    const { address, family } = this.#addresses[this.#tried++]!;
    this.#nextAttempt?.cancel();
    this.#nextAttempt = null;
    this.#connectTo({ family, address, port: this.#target.port });
    if (this.#tried < this.#addresses.length) this.#nextAttempt = this.#tryNextLater();
  }

  #tryNextLater(): TimerHandle {
    return this.#owner.clock.after(CONNECTION_ATTEMPT_DELAY_MS, () => this.#tryNext());
  }

  #connectTo(remote: Address): void {
    this.#stage = "connecting";
    const attempt = new Attempt(this, remote);
    this.#owner.countAttempt(1);
    this.#attempts.add(attempt);
    attempt.pending = this.#dialer.connecting.attempt(remote, this.#target, attempt);
  }

  attemptFailed(attempt: Attempt<Socket>, error: SystemError): void {
    if (!this.#attempts.delete(attempt)) return;
    this.#owner.countAttempt(-1);
    const { remote } = attempt;
    const isLiteral = remote.family === 0 || remote.address === this.#target.host;
    const what = this.#cannot();
    if (this.#failures.length < FAILURES_MAX)
      this.#failures.push(failureOf(error, isLiteral ? what : `${what} at ${remote.address}`, "upstream"));
    if (this.#tried < this.#addresses.length) this.#tryNext();
    else this.#giveUp();
  }

  attemptConnected(attempt: Attempt<Socket>, socket: Socket, local: Address): void {
    const { remote } = attempt;
    const { connecting } = this.#dialer;
    if (local.port === remote.port && local.address === remote.address && remote.family !== 0) {
      // Nobody listens there, but the system chose the very same port for our end: TCP lets a socket connect to itself.
      connecting.discard(socket);
      this.attemptFailed(attempt, systemErrorOf("ECONNREFUSED"));
      return;
    }
    this.#attempts.delete(attempt);
    this.#dropAttempts();
    this.#stage = "completing";
    this.#completing = connecting.complete(socket, { remote, local }, this.#target, this);
  }

  onComplete(connection: Connection): void {
    if (this.#stage !== "completing") return;
    this.#stage = "done";
    this.#deadline?.cancel();
    this.#owner.countAttempt(-1);
    tellConnected(this.#owner, this.#handler, connection);
  }

  onIncomplete(error: ProxyError): void {
    this.#fail(error);
  }

  #dropAttempts(): void {
    this.#resolvingRest?.cancel();
    this.#nextAttempt?.cancel();
    this.#nextAttempt = null;
    for (const { pending } of this.#attempts) {
      this.#owner.countAttempt(-1);
      pending?.cancel();
    }
    this.#attempts.clear();
  }

  /** For failures that may be known before `dial` has returned. */
  #failLater(error: ProxyError): void {
    process.nextTick(() => this.#fail(error));
  }

  #fail(error: ProxyError): void {
    if (this.#stage === "done") return;
    this.cancel();
    tellFailed(this.#owner, this.#handler, error);
  }

  #timedOut(): void {
    const { timeoutMs } = this.#target;
    const inTime = `within ${timeoutMs} ms`;
    if (this.#stage === "resolving") {
      this.#fail(new ProxyError("dns_timeout", `${this.#cannot()}: the name was not resolved ${inTime}`));
    } else if (this.#stage === "completing") {
      const message = `TLS handshake with ${describeTarget(this.#target)}: not finished ${inTime}`;
      this.#fail(new ProxyError("connection_timeout", message));
    } else {
      const earlier = this.#failures.map((failure) => failure.message).join("; ");
      const message = `${this.#cannot()}: no answer ${inTime}${earlier === "" ? "" : ` (${earlier})`}`;
      this.#fail(new ProxyError("connection_timeout", message));
    }
  }

  #cannot(): string {
    return `cannot connect to ${describeTarget(this.#target)}`;
  }
}

/** RFC 8305, section 4: the families in turn, beginning with the one that the system prefers, each in the system's order. */
export function interleave(addresses: readonly ResolvedAddress[]): readonly ResolvedAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]!.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]!.family);
  const mixed: ResolvedAddress[] = [];
  for (let index = 0; index < first.length || index < second.length; index++) {
    if (index < first.length) mixed.push(first[index]!);
    if (index < second.length) mixed.push(second[index]!);
  }
  return mixed;
}

/** A missing route says the least (a name has IPv6 addresses, this machine has no IPv6): any other failure goes first. */
function failureOfAll(failures: readonly ProxyError[]): ProxyError {
  const [only] = failures;
  if (failures.length === 1 && only !== undefined) return only;
  const telling = failures.find(({ type }) => type !== "destination_ip_unroutable") ?? only!;
  const message = failures.map((failure) => failure.message).join("; ");
  return new ProxyError(telling.type, message, { cause: new AggregateError(failures, message) });
}
