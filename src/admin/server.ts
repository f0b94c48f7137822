/**
 * Operations over HTTP/1.1 and JSON, on `node:http`: nothing here is in the path of a proxied request. It reads requests
 * within limits, and gives every answer, errors included, as JSON; what an operation does is its own affair, where the
 * server listens is decided by open.ts.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import net from "node:net";
import type { Duplex } from "node:stream";
import type { AppLog } from "../server/app-log.ts";
import type { AdminLimits } from "./limits.ts";
import { changeRefusal, Refusal, strangerRefusal } from "./refusal.ts";
import { Farewell, MethodNotAllowed, type Operation, Router } from "./router.ts";

/**
 * Not imported: an import asks a module for everything that it exports, and for `WebSocket` this one loads Node's client of
 * the web with HTTP/2 and more, some MiB that stay in memory and that nobody here uses.
 */
const http = process.getBuiltinModule("node:http");

export interface AdminServerOptions {
  readonly operations: readonly Operation[];
  /** It listens on a TCP port. */
  readonly isPort: boolean;
  readonly limits: AdminLimits;
  readonly log: AppLog;
}

export class AdminServer {
  /** Listens where its owner says. */
  readonly server: Server;
  readonly #router: Router;
  readonly #options: AdminServerOptions;
  /** The process was told to end through this server. */
  #isEnding = false;

  constructor(options: AdminServerOptions) {
    const { limits } = options;
    this.#options = options;
    this.#router = new Router(options.operations);
    this.server = http.createServer({
      maxHeaderSize: limits.headBytesMax,
      headersTimeout: limits.requestTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: limits.timeoutCheckMs,
    });
    this.server.maxConnections = limits.connectionsMax;
    this.server.on("request", (request, response) => void this.#serve(request, response));
    this.server.on("clientError", answerClientError);
  }

  /**
   * Accepts no more; answers under way are given. Whoever told the process to end waits for the end of that connection,
   * which is left to the kernel, so that it comes when the process has ended, and not before.
   */
  close(): void {
    if (this.#isEnding) net.Server.prototype.close.call(this.server);
    else this.server.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answer = await this.#answer(request);
      if (answer instanceof Farewell) this.#sayFarewell(answer, request, response);
      else send(response, 200, answer);
    } catch (error) {
      // Nobody is there to be told.
      if (request.destroyed && !request.complete) return;
      this.#sendError(error, request, response);
    }
  }

  async #answer(request: IncomingMessage): Promise<unknown> {
    const { method = "", url = "" } = request;
    const { isPort, limits, log } = this.#options;
    const stranger = strangerRefusal(request.headers, isPort);
    if (stranger !== null) throw stranger;
    const queryAt = url.includes("?") ? url.indexOf("?") : url.length;
    const path = url.slice(0, queryAt);
    const query = new URLSearchParams(url.slice(queryAt));
    const operation = this.#router.find(method, path);
    if (operation.method === "GET") return operation.run({ query, body: null });
    const change = changeRefusal(request.headers);
    if (change !== null) throw change;
    const body = await readJson(request, limits.bodyBytesMax);
    log.info(`admin: ${method} ${path}`);
    return operation.run({ query, body });
  }

  #sayFarewell({ body, begin }: Farewell, { socket }: IncomingMessage, response: ServerResponse): void {
    this.#isEnding = true;
    // "close" comes when the answer has left, and also when the client has gone before.
    response.once("close", () => {
      socket.setTimeout(0);
      begin();
    });
    send(response, 202, body);
  }

  #sendError(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    // What was not read of the body is not waited for.
    if (!request.complete) response.setHeader("connection", "close");
    if (error instanceof MethodNotAllowed) response.setHeader("allow", error.allowed.join(", "));
    if (error instanceof Refusal) {
      send(response, error.status, { error: error.message, ...error.details });
      return;
    }
    this.#options.log.error({ err: error }, `admin: ${request.method} ${request.url} met a bug`);
    send(response, 500, { error: "a bug prevented that; the log has more" });
  }
}

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = jsonText(body);
  response.writeHead(status, { ...HEADERS, "content-length": Buffer.byteLength(text) });
  response.end(text);
}

/** For people too, who ask with curl. */
function jsonText(body: unknown): string {
  return `${JSON.stringify(body, null, 2)}\n`;
}

const HEADERS = {
  "content-type": "application/json",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
} as const;

/** Throws a Refusal. */
async function readJson(request: IncomingMessage, bytesMax: number): Promise<unknown> {
  const tooLarge = new Refusal(413, `the body may have at most ${bytesMax} bytes`);
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) throw tooLarge;
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving this loop would destroy the socket, on which the refusal has still to be sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes > bytesMax) throw tooLarge;
    chunks.push(chunk as Buffer);
  }
  if (bytes === 0) return null;
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks)));
  } catch {
    throw new Refusal(400, "the body is not JSON");
  }
}

/** What Node refused before it was a request: answered in the same form as everything else. */
function answerClientError(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const [status, sentence] = CLIENT_ERRORS[error.code ?? ""] ?? [
    "400 Bad Request",
    "that is not a request of HTTP/1.1",
  ];
  const body = jsonText({ error: sentence });
  const fields = Object.entries({ ...HEADERS, "content-length": Buffer.byteLength(body), connection: "close" });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.end(`HTTP/1.1 ${status}\r\n${lines}\r\n${body}`);
}

const CLIENT_ERRORS: Readonly<Record<string, readonly [status: string, sentence: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the head of the request is too long"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request took too long to arrive"],
};
