// A whole proxy with two workers and a cache on the disk, killed in the middle of its work again and again and started anew on the same
// folder. Clients load it all the time: hits, misses, confirmations, purges of all kinds, requests that make things obsolete, clients
// that leave. Every answer is judged by its number (numbered-origin.ts): it is whole and what it says that it is, and not older than
// what was promised by then, in this life of the proxy or in an earlier one.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { bodyOf, KIND_NAMES, kindOf, LANGUAGES, NumberedOrigin, TAGS, tagOf } from "./numbered-origin.ts";
import { ProxyProcess } from "./soak-process.ts";

export interface KillOptions {
  readonly rounds: number;
  /** Things that come to pass before the kill: a random number up to this. */
  readonly eventsMax: number;
  readonly seed: number;
}

export interface KillOutcome {
  /** Answers that were judged. */
  readonly answers: number;
  /** Of those right behind a start: how many came from the cache. */
  readonly hitsAfterStart: number;
  /** Purges and invalidations that were confirmed. */
  readonly promises: number;
}

const PATHS_OF_KIND = 6;
const CLIENTS = 24;
/** All of it fits: what is gone was purged. */
const SIZE = "64MiB";
/** All clients name it, whichever port the proxy has got this time. */
const HOST = "origin.test";

/** What can be asked for: a path in a language. */
interface Wish {
  readonly path: string;
  readonly language: string;
}

const PATHS = KIND_NAMES.flatMap((kind) => Array.from({ length: PATHS_OF_KIND }, (_, index) => `/${kind}/${index}`));
const WISHES: readonly Wish[] = PATHS.flatMap((path) =>
  kindOf(path).varies ? LANGUAGES.map((language) => ({ path, language })) : [{ path, language: "" }],
);

/** From here on, answers to a wish have these numbers or higher ones. */
interface Floor {
  /** Of the body. */
  body: number;
  /** When the origin has last said that it is good. */
  said: number;
  /** What promised that, for the message of a failure. */
  why: string;
}

interface Answer {
  readonly status: number;
  readonly fields: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** false: it broke off. */
  readonly isWhole: boolean;
}

export async function killAgainAndAgain({ rounds, eventsMax, seed }: KillOptions): Promise<KillOutcome> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "headgate-kills-"));
  const random = new SeededRandom(seed);
  await using origin = await NumberedOrigin.start(() => random.next() < 0.5);
  const load = new Load(origin, random);
  try {
    // The last one only answers.
    for (let round = 0; round <= rounds; round++) {
      await using proxy = await startProxy(folder, origin.url);
      try {
        await load.askForAll(proxy.port);
        if (round === rounds) await load.verify(folder);
        else await load.runUntilKilled(proxy, folder, random.between(1, eventsMax));
      } catch (error) {
        // It says what it has to say before it ends.
        await proxy.program.stop();
        throw new Error(`round ${round}: ${proxy.program.output}`, { cause: error });
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return load;
}

function startProxy(folder: string, origin: string): Promise<ProxyProcess> {
  const route = { use: [{ cache: { store: "files", tags: "surrogate-key" } }], proxy: origin };
  const top = () => ({
    admin: { listen: `unix:${adminSocket(folder)}` },
    caches: { files: { directory: path.join(folder, "cache"), size: SIZE, minFree: 0 } },
  });
  return ProxyProcess.start(route, 2, top);
}

const adminSocket = (folder: string): string => path.join(folder, "admin.sock");

class Load implements KillOutcome {
  answers = 0;
  hitsAfterStart = 0;
  promises = 0;
  readonly #origin: NumberedOrigin;
  readonly #random: SeededRandom;
  readonly #floors = new Map<Wish, Floor>(WISHES.map((wish) => [wish, { body: 0, said: 0, why: "" }]));
  #isKilled = false;
  /** Called with everything that comes to pass. */
  #onEvent: () => void = () => {};

  constructor(origin: NumberedOrigin, random: SeededRandom) {
    this.#origin = origin;
    this.#random = random;
    origin.onAsked = () => this.#onEvent();
  }

  /** Everything there is, once, of a proxy that has just been started. */
  async askForAll(port: number): Promise<void> {
    using agent = new Connections(port);
    const wishes = [...WISHES];
    const one = async (): Promise<void> => {
      for (let wish = wishes.pop(); wish !== undefined; wish = wishes.pop()) {
        if ((await this.#get(agent, wish, {})).isHit) this.hitsAfterStart++;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, one));
  }

  /** What is there is what was stored: nothing that was torn is found only when somebody asks for it. */
  async verify(folder: string): Promise<void> {
    const { caches } = JSON.parse(await this.#askAdmin(folder, "/cache/verify", {})) as {
      caches: readonly { entries: number; damaged: readonly string[] }[];
    };
    assert.deepEqual(caches[0]!.damaged, []);
    assert.ok(caches[0]!.entries > 0);
  }

  /** Until so much has come to pass; then it is killed, whatever it is at. */
  async runUntilKilled(proxy: ProxyProcess, folder: string, events: number): Promise<void> {
    let left = events;
    this.#onEvent = () => {
      if (--left === 0) {
        this.#isKilled = true;
        proxy.program.child.kill("SIGKILL");
      }
    };
    using agent = new Connections(proxy.port);
    const one = async (): Promise<void> => {
      while (!this.#isKilled) await this.#act(agent, folder);
    };
    await Promise.all(Array.from({ length: CLIENTS }, one));
    assert.equal(await proxy.program.exit(), "SIGKILL", proxy.program.output);
    this.#onEvent = () => {};
    this.#isKilled = false;
  }

  async #act(agent: Connections, folder: string): Promise<void> {
    const chance = this.#random.next();
    const wish = WISHES[this.#random.below(WISHES.length)]!;
    if (chance < 0.05) await this.#purge(folder);
    else if (chance < 0.08) await this.#change(agent, wish.path);
    else if (chance < 0.14) await this.#get(agent, wish, { "Cache-Control": "no-cache" });
    else if (chance < 0.2) await this.#leave(agent, wish);
    else await this.#get(agent, wish, {});
  }

  async #get(agent: Connections, wish: Wish, fields: Readonly<Record<string, string>>): Promise<{ isHit: boolean }> {
    const floor = { ...this.#floors.get(wish)! };
    const answer = await agent.ask("GET", wish, fields, this.#onEvent);
    if (typeof answer === "string") return this.#broken(wish.path, answer);
    const cacheStatus = String(answer.fields["cache-status"]);
    const tell = (): string =>
      `${wish.path} ${wish.language}: ${cacheStatus} ${JSON.stringify({ floor, ...answer, body: answer.body.length })}`;
    // Failing to ask an origin that is there would be a fault as well.
    assert.equal(answer.status, 200, tell());
    const body = Number(/^"(\d+)"$/.exec(String(answer.fields.etag))?.[1]);
    const said = Number(answer.fields["x-number"]);
    const expected = bodyOf(wish.path, wish.language, body);
    if (!answer.isWhole) {
      assert.ok(answer.body.equals(expected.subarray(0, answer.body.length)), tell());
      return this.#broken(wish.path, tell());
    }
    assert.ok(answer.body.equals(expected), tell());
    assert.ok(body >= floor.body && said >= floor.said, tell());
    const isHit = /^headgate; hit(;|$)/.test(cacheStatus);
    // A hit promises nothing: of two downloads at the same time the one that was asked for first may be answered last, and takes the
    // place of the other. What was confirmed to be stored is judged by the test of the keeper alone (cache-crashes.ts).
    this.answers++;
    this.#onEvent();
    return { isHit };
  }

  /** Only what is killed leaves its clients without an answer. */
  #broken(path: string, what: string): { isHit: boolean } {
    assert.ok(this.#isKilled, `${path} was cut, and nobody has killed the proxy: ${what}`);
    return { isHit: false };
  }

  /** A client that goes in the middle of its answer. */
  async #leave(agent: Connections, wish: Wish): Promise<void> {
    await agent.leave(wish);
    this.#onEvent();
  }

  async #purge(folder: string): Promise<void> {
    const { next } = this.#origin;
    const wish = WISHES[this.#random.below(WISHES.length)]!;
    const [, kind] = wish.path.split("/");
    const tag = `t${this.#random.below(TAGS)}`;
    const soft = this.#random.next() < 0.3;
    const [body, isMet] = this.#pick<readonly [Record<string, string>, (path: string) => boolean]>([
      [{ url: `http://${HOST}${wish.path}` }, (path) => path === wish.path],
      [{ url: `http://${HOST}${wish.path}` }, (path) => path === wish.path],
      [{ url: `http://${HOST}${wish.path}` }, (path) => path === wish.path],
      [{ tag }, (path) => tagOf(path) === tag],
      [{ prefix: `http://${HOST}/${kind}/` }, (path) => path.startsWith(`/${kind}/`)],
      [{ wildcard: `http://*.test/*/${wish.path.at(-1)}` }, (path) => path.at(-1) === wish.path.at(-1)],
    ]);
    try {
      await this.#askAdmin(folder, "/cache/purge", { ...body, soft });
    } catch (error) {
      if (!this.#isKilled) throw error;
      return;
    }
    const met = WISHES.filter(({ path }) => isMet(path));
    this.#promise(met, soft ? 0 : next, next, soft ? "a soft purge" : "a purge");
    this.promises++;
    this.#onEvent();
  }

  /** A request that makes obsolete what is stored of its path. */
  async #change(agent: Connections, path: string): Promise<void> {
    const { next } = this.#origin;
    const answer = await agent.ask("POST", { path, language: "" }, { "Content-Length": "0" }, () => {});
    if (typeof answer === "string") return void this.#broken(path, answer);
    assert.equal(answer.status, 204);
    this.#promise(
      WISHES.filter((wish) => wish.path === path),
      next,
      next,
      "a POST",
    );
    this.promises++;
    this.#onEvent();
  }

  #promise(wishes: readonly Wish[], body: number, said: number, why: string): void {
    for (const wish of wishes) {
      const floor = this.#floors.get(wish)!;
      if (body > floor.body || said > floor.said) floor.why = why;
      floor.body = Math.max(floor.body, body);
      floor.said = Math.max(floor.said, said);
    }
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#random.below(choices.length)]!;
  }

  async #askAdmin(folder: string, target: string, body: object): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const headers = { "Content-Type": "application/json" };
    const request = http.request({
      socketPath: adminSocket(folder),
      path: target,
      method: "POST",
      headers,
      agent: false,
    });
    request.on("error", reject).on("response", (response) => {
      response
        .setEncoding("utf8")
        .toArray()
        .then((pieces) => {
          const text = pieces.join("");
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`${response.statusCode} ${text}`));
        }, reject);
    });
    request.end(JSON.stringify(body));
    return await promise;
  }
}

/** Connections to a proxy, which are used again. */
class Connections implements Disposable {
  readonly #agent = new http.Agent({ keepAlive: true });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  /** What came of it; a text: why nothing did. `onPiece`: a piece of the body has come. */
  ask(
    method: string,
    wish: Wish,
    fields: Readonly<Record<string, string>>,
    onPiece: () => void,
  ): Promise<Answer | string> {
    const { promise, resolve } = Promise.withResolvers<Answer | string>();
    const request = this.#request(method, wish, fields);
    request.on("error", (error) => resolve(error.message));
    request.on("response", (response) => {
      const pieces: Buffer[] = [];
      const done = (isWhole: boolean): void =>
        resolve({ status: response.statusCode!, fields: response.headers, body: Buffer.concat(pieces), isWhole });
      response.on("data", (piece: Buffer) => {
        pieces.push(piece);
        onPiece();
      });
      response.on("end", () => done(response.complete));
      response.on("error", () => done(false));
    });
    request.end();
    return promise;
  }

  /** Goes when the first bytes of the body are there, or when it is over. */
  leave(wish: Wish): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const request = this.#request("GET", wish, {});
    request.on("error", () => resolve());
    request.on("close", () => resolve());
    request.on("response", (response) => {
      response.on("error", () => {});
      response.once("data", () => request.destroy());
      response.on("end", () => resolve());
    });
    request.end();
    return promise;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  #request(method: string, { path, language }: Wish, fields: Readonly<Record<string, string>>): http.ClientRequest {
    const headers = { ...fields, Host: HOST, ...(language !== "" && { "Accept-Language": language }) };
    return http.request({ port: this.#port, host: "127.0.0.1", agent: this.#agent, method, path, headers });
  }
}
