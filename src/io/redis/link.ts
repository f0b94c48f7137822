/**
 * One connection to one server of Redis, kept up: connecting, noticing that it is lost or silent, connecting again with growing
 * pauses. It decides whether Redis can be asked at all; what the answers mean is decided by node.ts.
 *
 * Commands of one turn leave together (the library writes them in one go), and no command waits for a connection that is known to
 * be away. A ping each second finds a server that is silent. Each connection is a client of its own, thrown away with it: nothing
 * of an old connection can reach a new one.
 */
import { createClient, ErrorReply, RESP_TYPES } from "redis";
import type { Clock, Random, TimerHandle } from "../../core/ports.ts";
import { failureOf, plainFailureOf, RedisFailure } from "./failure.ts";

export type RedisAddress = { readonly host: string; readonly port: number } | { readonly path: string };

/** How to reach a server. */
export interface LinkOptions {
  /** Where it is, asked anew for every connection; rejects when nobody knows. */
  readonly address: () => Promise<RedisAddress>;
  readonly username: string | null;
  readonly password: string | null;
  readonly database: number;
  /** PEM texts. `serverName: null`: the host. */
  readonly tls: RedisTls | null;
  readonly tracking: boolean;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  /** A server that is no master is not taken. */
  readonly mustBeMaster: boolean;
  /** Values come as Buffers. By default as text. */
  readonly isBinary?: boolean;
}

/** An argument of a command. */
export type RedisArgument = string | Buffer;

export interface RedisTls {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly serverName: string | null;
}

export interface LinkHandler {
  /** A key that was asked for has another value now, or none; null: any of them may have. */
  onInvalid(key: string | null): void;
  onReady(): void;
  /** Once after each `onReady`, at once. */
  onLost(): void;
}

/** What operators are told. */
export interface LinkObserver {
  onAway(failure: RedisFailure): void;
  onBack(): void;
  /** The server does not tell what changes. */
  onUntracked(): void;
}

/** How often a connection is asked whether it lives. */
export const PING_MS = 1_000;
/** Between attempts: the first pause, and the longest one. Each is cut by up to a half, by chance. */
const PAUSE_MS_MIN = 50;
const PAUSE_MS_MAX = 2_000;
/** Commands that may wait for answers; more would only come too late. */
const COMMANDS_MAX = 65_536;

const BINARY = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

type Client = ReturnType<typeof createClient>;

interface Waiting {
  readonly sentMs: number;
  readonly reject: (failure: RedisFailure) => void;
  isDone: boolean;
}

/** What a server understands; the first of these is tried first. */
interface Dialect {
  resp: 2 | 3;
  tracking: boolean;
}

export class RedisLink {
  /** On the monotonic clock: when the server said something last. */
  heardMs = Number.NEGATIVE_INFINITY;
  readonly #options: LinkOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #handler: LinkHandler;
  readonly #observer: LinkObserver;
  #dialect: Dialect;
  #hasToldUntracked = false;
  #state: "new" | "connecting" | "ready" | "away" | "closed" = "new";
  #client: Client | null = null;
  /** In the order in which they were sent. */
  #waiting: Waiting[] = [];
  /** Before this one, all of `#waiting` have been answered. */
  #first = 0;
  #deadline: TimerHandle | null = null;
  #ping: TimerHandle | null = null;
  #pause: TimerHandle | null = null;
  #attempts = 0;
  /** What `ready` waits for while the first attempt is under way. */
  #connected: PromiseWithResolvers<void> | null = null;
  /** Ends the attempt that is under way. */
  #giveUp: ((failure: RedisFailure) => void) | null = null;
  #failure: RedisFailure = new RedisFailure("Redis is not connected yet");

  constructor(
    options: LinkOptions,
    around: { clock: Clock; random: Random },
    handler: LinkHandler,
    observer: LinkObserver,
  ) {
    this.#options = options;
    this.#clock = around.clock;
    this.#random = around.random;
    this.#handler = handler;
    this.#observer = observer;
    this.#dialect = { resp: 3, tracking: options.tracking };
  }

  /** It speaks as its URL says. */
  get #wasReady(): boolean {
    return this.heardMs !== Number.NEGATIVE_INFINITY;
  }

  get isReady(): boolean {
    return this.#state === "ready";
  }

  /** The server tells what changes. Known once it is ready. */
  get isTracked(): boolean {
    return this.#dialect.tracking;
  }

  /** Begins to connect. */
  start(): void {
    if (this.#state !== "new") return;
    this.#state = "connecting";
    this.#connected = Promise.withResolvers();
    this.#connected.promise.catch(() => {});
    void this.#connect();
  }

  /**
   * Resolves at once when it is ready, rejects at once when it is known to be away. Only the first attempt is waited for, for as
   * long as a command may take.
   */
  async ready(): Promise<void> {
    this.start();
    if (this.#state === "ready") return;
    if (this.#state !== "connecting") throw this.#failure;
    const { promise, reject } = Promise.withResolvers<never>();
    const failure = new RedisFailure("Redis cannot be reached: no connection yet");
    const timer = this.#clock.after(this.#options.commandTimeoutMs, () => reject(failure));
    try {
      await Promise.race([this.#connected!.promise, promise]);
    } finally {
      timer.cancel();
    }
  }

  /** Sends commands, one behind the other with nothing in between; resolves with their answers. It must be ready. */
  send(...commands: readonly RedisArgument[][]): Promise<unknown[]> {
    const client = this.#client;
    if (this.#state !== "ready" || client === null) return Promise.reject(this.#failure);
    if (this.#waiting.length - this.#first >= COMMANDS_MAX) {
      return Promise.reject(new RedisFailure("Redis is too slow: too many commands wait for it"));
    }
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { sentMs: this.#clock.now(), reject, isDone: false };
      const settle = (): void => {
        waiting.isDone = true;
        if (client === this.#client) this.#heard();
      };
      const how = this.#options.isBinary === true ? BINARY : undefined;
      Promise.all(commands.map((command) => client.sendCommand(command, how))).then(
        (answers) => {
          settle();
          resolve(answers);
        },
        (error: unknown) => {
          // Only an answer shows that the server lives.
          if (error instanceof ErrorReply) settle();
          else waiting.isDone = true;
          reject(failureOf(error));
        },
      );
      this.#waiting.push(waiting);
      this.#deadline ??= this.#clock.after(this.#options.commandTimeoutMs, this.#onDeadline);
    });
  }

  close(): void {
    if (this.#state === "closed") return;
    const wasReady = this.#state === "ready";
    this.#state = "closed";
    this.#failure = new RedisFailure("the store is closed");
    this.#connected?.reject(this.#failure);
    this.#giveUp?.(this.#failure);
    this.#pause?.cancel();
    this.#drop();
    if (wasReady) this.#handler.onLost();
  }

  #heard(): void {
    this.heardMs = this.#clock.now();
    while (this.#first < this.#waiting.length && this.#waiting[this.#first]!.isDone) this.#first++;
    if (this.#first === this.#waiting.length) {
      this.#waiting = [];
      this.#first = 0;
    } else if (this.#first > 1024) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
  }

  // After a long turn of our own, answers may have arrived that nobody has read yet: they are read before this goes on.
  readonly #onDeadline = (): void => void setImmediate(this.#sweep);

  readonly #sweep = (): void => {
    this.#deadline = null;
    const nowMs = this.#clock.now();
    let isSilent = false;
    let next = this.#first;
    for (; next < this.#waiting.length; next++) {
      const waiting = this.#waiting[next]!;
      if (!waiting.isDone && nowMs - waiting.sentMs < this.#options.commandTimeoutMs) break;
      if (waiting.isDone) continue;
      waiting.isDone = true;
      isSilent ||= this.heardMs < waiting.sentMs;
      waiting.reject(new RedisFailure(`Redis does not answer within ${this.#options.commandTimeoutMs} ms`));
    }
    this.#first = next;
    if (isSilent && this.#state === "ready") {
      this.#lost(new RedisFailure(`Redis is silent: no answer within ${this.#options.commandTimeoutMs} ms`));
      return;
    }
    const oldest = this.#waiting[next];
    if (oldest === undefined) this.#waiting = [];
    if (oldest === undefined) this.#first = 0;
    else {
      const restMs = oldest.sentMs + this.#options.commandTimeoutMs - nowMs;
      this.#deadline = this.#clock.after(Math.max(restMs, 1), this.#onDeadline);
    }
  };

  readonly #onPing = (): void => {
    this.send(["PING"]).catch(() => {});
    this.#ping = this.#clock.after(PING_MS, this.#onPing);
  };

  async #connect(): Promise<void> {
    try {
      const client = await this.#open();
      if (this.#state === "closed") {
        client.destroy();
        return;
      }
      const wasAway = this.#state === "away";
      this.#client = client;
      this.#state = "ready";
      this.#attempts = 0;
      this.heardMs = this.#clock.now();
      this.#ping = this.#clock.after(PING_MS, this.#onPing);
      this.#handler.onReady();
      this.#connected?.resolve();
      if (wasAway) this.#observer.onBack();
      if (this.#options.tracking && !this.#dialect.tracking && !this.#hasToldUntracked) {
        this.#hasToldUntracked = true;
        this.#observer.onUntracked();
      }
    } catch (error) {
      if (this.#state === "closed") return;
      if (this.#speaksLess(error)) await this.#connect();
      else this.#away(this.#wasReady || this.#options.tls !== null ? failureOf(error) : plainFailureOf(error));
    }
  }

  /** A server that lacks what we asked for is asked for less, at once. */
  #speaksLess(error: unknown): boolean {
    // Who is not let in is not asked for less.
    if (!(error instanceof ErrorReply) || /^(NOAUTH|WRONGPASS)/.test(error.message)) return false;
    const dialect = this.#dialect;
    const lacks = dialect.tracking && /tracking/i.test(error.message);
    const isOld = dialect.resp === 3 && /hello|NOPROTO/i.test(error.message);
    if (isOld) dialect.resp = 2;
    if (lacks || isOld) dialect.tracking = false;
    return lacks || isOld;
  }

  /** A client that is connected, or an error; whatever happens within the time that it may take. */
  async #open(): Promise<Client> {
    const { connectTimeoutMs, mustBeMaster, tls } = this.#options;
    let client: Client | null = null;
    const { promise: tooLate, reject } = Promise.withResolvers<never>();
    tooLate.catch(() => {});
    this.#giveUp = reject;
    const deadline = this.#clock.after(connectTimeoutMs, () => {
      const hint =
        tls === null || this.#wasReady ? "" : "; a server that speaks without TLS has a URL that begins with redis://";
      reject(new RedisFailure(`Redis cannot be reached: no connection within ${connectTimeoutMs} ms${hint}`));
    });
    try {
      const address = await Promise.race([this.#options.address(), tooLate]);
      const opened = this.#create(address);
      client = opened;
      const connecting = opened.connect();
      connecting.catch(() => {});
      await Promise.race([connecting, tooLate]);
      // One that is loading its data, or wants a password that we do not have, says so now.
      const first = opened.sendCommand(mustBeMaster ? ["ROLE"] : ["PING"]);
      first.catch(() => {});
      const answer: unknown = await Promise.race([first, tooLate]);
      if (mustBeMaster && !(Array.isArray(answer) && answer[0] === "master")) {
        throw new RedisFailure("Redis is not the master that the sentinels said");
      }
      if (!opened.isReady) throw new RedisFailure("Redis closed the connection at once");
      return opened;
    } catch (error) {
      client?.destroy();
      throw error;
    } finally {
      this.#giveUp = null;
      deadline.cancel();
    }
  }

  #create(address: RedisAddress): Client {
    const { username, password, database, tls, connectTimeoutMs } = this.#options;
    const { resp, tracking } = this.#dialect;
    const base = { connectTimeout: connectTimeoutMs, reconnectStrategy: false as const };
    const secure = tls === null ? {} : { tls: true as const, ...tlsOptions(tls) };
    const client = createClient({
      RESP: resp as 3,
      socket: { ...base, ...address, ...secure },
      ...(username !== null && { username }),
      ...(password !== null && { password }),
      database,
      // Deadlines are ours: the library's end when a command is written. 0: none.
      commandOptions: { timeout: 0 },
      disableOfflineQueue: true,
      disableClientInfo: true,
      maintNotifications: "disabled",
      emitInvalidate: tracking,
    });
    // The library reads on behind what it could not read, and would take later answers for those to earlier questions: nothing that comes
    // over such a connection can be believed any more. Before it is ours, what goes wrong reaches us by the promise.
    client.on("error", (cause: unknown) => {
      if (this.#client === client) this.#lost(failureOf(cause));
    });
    client.on("invalidate", (key: Buffer | string | null) => {
      if (this.#client === client) this.#handler.onInvalid(key === null ? null : key.toString());
    });
    client.on("terminated", (cause: unknown) => {
      if (this.#client === client) this.#lost(failureOf(cause));
    });
    return client as unknown as Client;
  }

  #lost(failure: RedisFailure): void {
    // Behind the next connection may be another server.
    this.#dialect = { resp: 3, tracking: this.#options.tracking };
    this.#away(failure);
    this.#handler.onLost();
  }

  #away(failure: RedisFailure): void {
    const wasKnown = this.#state === "away";
    this.#state = "away";
    this.#failure = failure;
    this.#drop();
    this.#connected?.reject(failure);
    this.#connected = null;
    if (!wasKnown) this.#observer.onAway(failure);
    const pauseMs = Math.min(PAUSE_MS_MIN * 2 ** this.#attempts, PAUSE_MS_MAX);
    this.#attempts++;
    this.#pause = this.#clock.after(pauseMs * (1 - this.#random.next() / 2), () => void this.#connect());
  }

  /** Without the connection, whatever waits for an answer is told. */
  #drop(): void {
    const client = this.#client;
    this.#client = null;
    this.#ping?.cancel();
    this.#deadline?.cancel();
    this.#deadline = null;
    for (const waiting of this.#waiting.slice(this.#first)) {
      if (!waiting.isDone) waiting.reject(this.#failure);
      waiting.isDone = true;
    }
    this.#waiting = [];
    this.#first = 0;
    client?.destroy();
  }
}

/** As `tls.connect` takes them. */
export function tlsOptions({ ca, cert, key, serverName }: RedisTls) {
  return {
    ...(ca !== null && { ca }),
    ...(cert !== null && { cert }),
    ...(key !== null && { key }),
    ...(serverName !== null && { servername: serverName }),
  };
}
