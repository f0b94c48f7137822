// An origin with files of any length, which sends at a steady rate, has a strong validator, answers ranges, can be killed and comes
// back on the same port. It counts what it is asked for. The bytes of a file are those of soak-pattern.ts.

import http from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { setTimeout as after } from "node:timers/promises";
import { freePort } from "./free-port.ts";
import { patternAt } from "./soak-pattern.ts";

export interface SteadyOriginOptions {
  readonly bytes: number;
  /** Of each answer. */
  readonly bytesPerSecond: number;
  readonly tls?: https.ServerOptions;
}

/** Pieces are sent so often that a download has no steps. */
const PIECE_MS = 20;
const TAG = '"steady"';

export class SteadyOrigin {
  /** The range of each request, or "all". */
  readonly asked: string[] = [];
  /** No answer goes on behind so many bytes of a file, as long as this says so: a busy machine sends much at once. */
  holdsAt = Number.POSITIVE_INFINITY;
  readonly #options: SteadyOriginOptions;
  readonly #sockets = new Set<Socket>();
  #server: http.Server;
  readonly #port: number;

  private constructor(options: SteadyOriginOptions, port: number) {
    this.#options = options;
    this.#port = port;
    this.#server = this.#create();
  }

  static async start(options: SteadyOriginOptions): Promise<SteadyOrigin> {
    // Of those that nobody gets while it is killed.
    const origin = new SteadyOrigin(options, await freePort());
    await origin.#listen();
    return origin;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`;
  }

  /** As if its machine had lost power: nothing more comes from it, and nobody listens. */
  async kill(): Promise<void> {
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async restart(): Promise<void> {
    this.#server = this.#create();
    await this.#listen();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.kill();
  }

  #create(): http.Server {
    const { tls } = this.#options;
    const server = tls === undefined ? http.createServer() : https.createServer(tls);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (request: http.IncomingMessage, response: http.ServerResponse) => {
      void this.#answer(request, response);
    });
    return server as http.Server;
  }

  async #listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(this.#port, "127.0.0.1", resolve);
    });
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const { bytes } = this.#options;
    const condition = request.headers["if-range"];
    const range = condition === undefined || condition === TAG ? request.headers.range : undefined;
    this.asked.push(range ?? "all");
    const start = Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1] ?? 0);
    response.writeHead(start === 0 ? 200 : 206, {
      ETag: TAG,
      "Cache-Control": "max-age=3600",
      "Content-Length": bytes - start,
      ...(start > 0 && { "Content-Range": `bytes ${start}-${bytes - 1}/${bytes}` }),
    });
    await this.#send(response, start);
  }

  /** By the clock, not by the piece: what a busy machine was late with is made up for. */
  async #send(response: http.ServerResponse, start: number): Promise<void> {
    const { bytes, bytesPerSecond } = this.#options;
    const begunMs = performance.now();
    let position = start;
    while (position < bytes && !response.destroyed) {
      const due = Math.min(bytes, this.holdsAt, start + ((performance.now() - begunMs) / 1000) * bytesPerSecond);
      while (position < due) {
        const piece = patternAt(position, Math.ceil(due - position));
        response.write(piece);
        position += piece.length;
      }
      await after(PIECE_MS);
    }
    response.end();
  }
}
