/**
 * The ends of a simulated network that a test plays: what a client sends, what must arrive at the origin. A step that sends
 * only queues; a step that expects runs the network first, and fails with a picture of the difference.
 *
 * Every byte must be expected: `receives` takes all that has arrived, `seesEnd` fails when something was not taken.
 */
import type { ProxyError } from "../core/errors.ts";
import type { Connection, ConnectionHandler, Listener } from "../core/ports.ts";
import { placeOf } from "./addresses.ts";
import type { SimulatedConnection } from "./connection.ts";
import { DialogueError, describeDifference, quoteBytes } from "./difference.ts";

/** The network as a dialogue needs it. */
export interface Stage {
  /** Runs what is possible without time passing. */
  run(): number;
  listen(authority: string, onConnection: (connection: Connection) => void): Listener;
}

/** A head as it arrived, for tests that care about some of its fields only. */
export interface ReceivedHead {
  /** The request line or the status line, without its line ending. */
  readonly startLine: string;
  /** Every field line in order: the name as it was spelled, the value without the spaces around it. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The values of a field, joined with ", "; null when it is absent. */
  get(name: string): string | null;
}

/** One end of a connection in the hands of a test. Text is latin1: one character a byte. */
export class Peer implements ConnectionHandler {
  readonly name: string;
  readonly connection: SimulatedConnection;
  /** The other side has sent FIN. */
  ended = false;
  /** Nothing comes or goes any more. */
  closed = false;
  /** It was closed by RST of the other side, not in order. */
  reset = false;
  readonly #stage: Stage;
  #chunks: Buffer[] = [];

  constructor(stage: Stage, connection: SimulatedConnection, name: string) {
    this.#stage = stage;
    this.name = name;
    this.connection = connection;
    connection.handler = this;
  }

  /** Queues text or bytes. */
  sends(data: string | Uint8Array): this {
    if (typeof data === "string") this.connection.writeLatin1(data);
    else this.connection.write(data);
    return this;
  }

  /** Sends FIN behind what was sent, and still reads. */
  ends(): this {
    this.connection.end();
    return this;
  }

  /** Closes at once, as a process that exits does: FIN, or RST when something was not read. */
  closes(): this {
    this.connection.destroy();
    return this;
  }

  /** Closes at once with RST. */
  resets(): this {
    this.connection.destroy(undefined, true);
    return this;
  }

  /** The connection is cut, for both sides, once this many more bytes have left this one. */
  breaksAfter(bytes: number): this {
    this.connection.breakAfter(bytes);
    return this;
  }

  /** Stops reading: the other side's bytes stay in the kernel's buffers until these are full. */
  stopsReading(): this {
    this.connection.pause();
    return this;
  }

  readsOn(): this {
    this.connection.resume();
    return this;
  }

  /** What arrived and was not taken yet. Does not run the network. */
  get unread(): string {
    return this.#joined().toString("latin1");
  }

  /** Runs the network and takes all that has arrived: text or bytes that it must equal, or an expression that must match. */
  receives(expected: RegExp): RegExpExecArray;
  receives(expected: string | Uint8Array): null;
  receives(expected: string | Uint8Array | RegExp): RegExpExecArray | null {
    const received = this.takes();
    if (expected instanceof RegExp) {
      const match = expected.exec(received.toString("latin1"));
      if (match !== null) return match;
      throw new DialogueError(`${this.name} received what does not match ${expected}:\n${quoteBytes(received)}`);
    }
    const wanted = typeof expected === "string" ? Buffer.from(expected, "latin1") : Buffer.from(expected);
    if (wanted.equals(received)) return null;
    throw new DialogueError(`${this.name} received something else:\n${describeDifference(wanted, received)}`);
  }

  /** Like `receives`, but more may follow: takes the beginning only. */
  receivesFirst(expected: string): this {
    this.#stage.run();
    const all = this.#joined();
    const wanted = Buffer.from(expected, "latin1");
    const first = all.subarray(0, wanted.length);
    if (!wanted.equals(first)) {
      throw new DialogueError(`${this.name} received something else:\n${describeDifference(wanted, first)}`);
    }
    this.#chunks = [all.subarray(wanted.length)];
    return this;
  }

  /** Runs the network and takes one head; what follows it stays. */
  receivesHead(): ReceivedHead {
    this.#stage.run();
    const all = this.#joined();
    const end = all.indexOf("\r\n\r\n");
    if (end < 0) throw new DialogueError(`${this.name} received no whole head:\n${quoteBytes(all)}`);
    this.#chunks = [all.subarray(end + 4)];
    return parseHead(all.toString("latin1", 0, end));
  }

  receivesNothing(): this {
    this.receives("");
    return this;
  }

  /** Runs the network and takes all that has arrived. */
  takes(): Buffer {
    this.#stage.run();
    const all = this.#joined();
    this.#chunks = [];
    return all;
  }

  /** The other side has sent FIN, and everything before it was taken. */
  seesEnd(): this {
    this.receivesNothing();
    if (!this.ended || this.reset) throw new DialogueError(`${this.name} expected the end, but ${this.#state()}`);
    return this;
  }

  /** The other side has cut the connection by RST. What had arrived before may be left. */
  seesReset(): this {
    this.#stage.run();
    if (!this.reset) throw new DialogueError(`${this.name} expected a reset, but ${this.#state()}`);
    return this;
  }

  /** The other side has neither ended nor cut the connection. */
  staysOpen(): this {
    this.#stage.run();
    if (this.ended || this.closed) throw new DialogueError(`${this.name} expected to stay open, but ${this.#state()}`);
    return this;
  }

  #state(): string {
    if (this.reset) return "the connection was reset";
    if (this.closed) return "the connection is closed";
    return this.ended ? "the other side has ended" : "the connection is open";
  }

  #joined(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    this.#chunks.push(Buffer.from(buffer.subarray(start, end)));
  }

  onDrain(): void {}

  onEnd(): void {
    this.ended = true;
  }

  onClose(error: ProxyError | null): void {
    this.closed = true;
    this.reset = error !== null;
  }
}

/** A server that a test plays: it listens from the start, and each connection is taken by one `accepts`. */
export class ScriptedOrigin {
  readonly #stage: Stage;
  readonly #listener: Listener;
  readonly #key: string;
  readonly #waiting: Peer[] = [];
  #accepted = 0;

  constructor(stage: Stage, authority: string) {
    this.#stage = stage;
    this.#key = placeOf(authority).key;
    this.#listener = stage.listen(authority, (connection) => this.#take(connection));
  }

  #take(connection: Connection): void {
    this.#accepted++;
    this.#waiting.push(new Peer(this.#stage, connection as SimulatedConnection, `${this.#key} (${this.#accepted})`));
  }

  /** Runs the network and takes the oldest connection that was not taken yet. */
  accepts(): Peer {
    this.#stage.run();
    const peer = this.#waiting.shift();
    if (peer === undefined) throw new DialogueError(`nobody has connected to ${this.#key}`);
    return peer;
  }

  acceptsNothing(): void {
    this.#stage.run();
    if (this.#waiting.length > 0) throw new DialogueError(`somebody has connected to ${this.#key}`);
  }

  /** Connections so far, taken or not. */
  get acceptedCount(): number {
    return this.#accepted;
  }

  /** Stops listening; connections that exist go on. */
  stops(): void {
    void this.#listener.close();
  }
}

function parseHead(text: string): ReceivedHead {
  const [startLine = "", ...lines] = text.split("\r\n");
  const fields = lines.map((line): readonly [string, string] => {
    const colon = line.indexOf(":");
    if (colon <= 0) throw new DialogueError(`not a field line: ${JSON.stringify(line)}`);
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return {
    startLine,
    fields,
    get(name) {
      const values = fields.filter(([field]) => field.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
      return values.length === 0 ? null : values.join(", ");
    },
  };
}
