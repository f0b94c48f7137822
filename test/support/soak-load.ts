// A thread with both ends of the endurance test: the flaky origin, and the clients. The proxy runs in another thread, so that
// what is measured there is the proxy's alone.
//
// Told to `run`, the clients share a number of requests, one after the other on each, and the thread says how they ended.

import { parentPort, workerData } from "node:worker_threads";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { FlakyOrigin } from "./soak-flaky-origin.ts";
import { ABORTS, LoadClient, type Outcome, type Plan } from "./soak-load-client.ts";

export interface LoadOptions {
  readonly seed: number;
  readonly clients: number;
  /** Share of the requests whose client leaves before their answer is complete. */
  readonly abortShare: number;
}

export type LoadOrder =
  | { readonly do: "run"; readonly port: number; readonly requests: number }
  | { readonly do: "end clients" }
  | { readonly do: "end origin" };

/** Of all runs up to now. */
export interface LoadTally {
  /** By outcome; aborts by where they happened. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** The first ones of what is wrong. */
  readonly wrong: readonly string[];
  readonly connectionsMade: number;
  readonly origin: {
    readonly requests: number;
    readonly faults: Readonly<Record<string, number>>;
    /** Faults, by what a client may see of them. */
    readonly visible: Readonly<FlakyOrigin["visible"]>;
  };
}

export type LoadReport = { readonly originPort: number } | { readonly tally: LoadTally };

const KiB = 1024;
const WRONG_KEPT_MAX = 20;

class Load {
  readonly #options: LoadOptions;
  readonly #random: SeededRandom;
  readonly #origin: FlakyOrigin;
  readonly #outcomes = new Map<string, number>();
  readonly #wrong: string[] = [];
  #clients: LoadClient[] = [];
  #id = 0;

  constructor(options: LoadOptions, origin: FlakyOrigin) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#origin = origin;
  }

  async run(port: number, requests: number): Promise<void> {
    if (this.#clients.length === 0) {
      this.#clients = Array.from({ length: this.#options.clients }, () => new LoadClient(port));
    }
    let left = requests;
    const drive = async (client: LoadClient) => {
      while (left-- > 0) {
        const plan = this.#plan();
        this.#count(await client.exchange(plan), plan);
      }
    };
    await Promise.all(this.#clients.map(drive));
  }

  async endClients(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
  }

  get tally(): LoadTally {
    const { requests, faults, visible } = this.#origin;
    return {
      outcomes: Object.fromEntries(this.#outcomes),
      wrong: this.#wrong,
      connectionsMade: this.#clients.reduce((sum, client) => sum + client.connectionsMade, 0),
      origin: { requests, faults: Object.fromEntries(faults), visible },
    };
  }

  #plan(): Plan {
    const random = this.#random;
    const abort = random.chance(this.#options.abortShare) ? random.pick(ABORTS) : null;
    const isUpload = abort === "in the request" || random.chance(0.15);
    // Large ones more often than in real traffic, so that both ends of a body are seldom in one read.
    const isLarge = abort === "in the answer" || random.chance(0.02);
    const chances = { compressed: random.chance(0.02), refused: random.chance(0.001), head: random.chance(0.02) };
    let method: Plan["method"] = "GET";
    if (isUpload) method = "POST";
    else if (chances.head && abort !== "in the answer") method = "HEAD";
    return {
      method,
      prefix: chances.refused ? "/refused" : chances.compressed ? "/compressed" : "",
      answer: {
        id: ++this.#id,
        bytes: isLarge ? random.between(64 * KiB, 256 * KiB) : random.below(4 * KiB),
        framing: random.chance(0.5) ? "length" : "chunked",
      },
      bodyBytes: !isUpload ? 0 : random.chance(0.1) ? random.between(32 * KiB, 128 * KiB) : random.between(1, 4 * KiB),
      isChunked: random.chance(0.5),
      expectsContinue: isUpload && random.chance(0.1),
      isLast: random.chance(0.01),
      abort,
      resets: random.chance(0.5),
    };
  }

  #count(outcome: Outcome, { abort }: Plan): void {
    if (outcome.startsWith("wrong") && this.#wrong.length < WRONG_KEPT_MAX) this.#wrong.push(outcome);
    const [kind] = outcome.split(":") as [string];
    const name = kind === "aborted" ? `aborted ${abort}` : kind;
    this.#outcomes.set(name, (this.#outcomes.get(name) ?? 0) + 1);
  }
}

const options = workerData as LoadOptions;
const origin = await FlakyOrigin.start(new SeededRandom(options.seed + 1));
const load = new Load(options, origin);
const port = parentPort!;
const report = (what: LoadReport) => port.postMessage(what);

async function obey(order: LoadOrder): Promise<void> {
  if (order.do === "run") await load.run(order.port, order.requests);
  else if (order.do === "end clients") await load.endClients();
  else await origin[Symbol.asyncDispose]();
  report({ tally: load.tally });
}

port.on("message", (order: LoadOrder) => {
  // Of a promise that is rejected nobody would be told; what is thrown here ends the thread, and the test with it.
  obey(order).catch((error: unknown) =>
    queueMicrotask(() => {
      throw error;
    }),
  );
});
report({ originPort: origin.port });
