// A client that downloads one file of a SteadyOrigin and keeps none of it: every byte is compared with the one that belongs there.

import assert from "node:assert/strict";
import net from "node:net";
import tls from "node:tls";
import { PatternCheck } from "./soak-pattern.ts";

export interface Download {
  /** Of the body so far. */
  readonly bytes: number;
  /** Of performance.now(), when the last byte came. Rejects when it is cut, or not what it should be. */
  readonly ended: Promise<number>;
  /** The status and the fields, once they are there. */
  readonly head: string;
  /** From here on it takes what it gets. */
  hurry(): void;
}

export interface DownloadOptions {
  readonly port: number;
  /** The request target. */
  readonly target: string;
  readonly bytes: number;
  /** By CONNECT to here, and TLS in the tunnel with this authority trusted. */
  readonly tunnel?: { readonly authority: string; readonly ca: string };
  /** It takes no more than so many bytes each second, until it hurries. */
  readonly bytesPerSecond?: number;
}

/** Of a slow client, between two looks at what came. */
const TAKE_MS = 100;

export function download({ port, target, bytes, tunnel, bytesPerSecond }: DownloadOptions): Download {
  const { promise: ended, resolve, reject } = Promise.withResolvers<number>();
  const check = new PatternCheck();
  const host = tunnel?.authority ?? `127.0.0.1:${port}`;
  let head = "";
  let isHead = true;
  let timer: NodeJS.Timeout | null = null;

  const take = (chunk: Buffer): void => {
    try {
      if (isHead) {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        isHead = false;
        const rest = chunk.subarray(chunk.length - (head.length - end - 4));
        head = head.slice(0, end);
        assert.match(head, /^HTTP\/1\.1 200 /);
        assert.match(head, new RegExp(`\\ncontent-length: ${bytes}(\\r|$)`, "i"));
        check.add(rest);
      } else check.add(chunk);
      if (check.position < bytes) return;
      resolve(performance.now());
      stream.destroy();
    } catch (error) {
      reject(error);
      stream.destroy();
    }
  };
  const socket = net.connect(port, "127.0.0.1");
  const request = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  let stream: net.Socket = socket;
  const begin = (on: net.Socket): void => {
    stream = on;
    on.on("error", reject);
    on.on("close", () => {
      if (timer !== null) clearInterval(timer);
      reject(new Error(`cut after ${check.position} bytes, behind ${JSON.stringify(head)}`));
    });
    on.write(request);
    if (bytesPerSecond === undefined) {
      on.on("data", take);
      return;
    }
    timer = setInterval(() => {
      const chunk = on.read(Math.min(on.readableLength, Math.ceil((bytesPerSecond * TAKE_MS) / 1000))) as Buffer | null;
      if (chunk !== null && chunk.length > 0) take(chunk);
    }, TAKE_MS);
  };
  socket.once("error", reject);
  socket.once("connect", () => {
    if (tunnel === undefined) begin(socket);
    else openTunnel(socket, tunnel, begin, reject);
  });
  return {
    ended,
    get bytes() {
      return check.position;
    },
    get head() {
      return head;
    },
    hurry() {
      if (timer !== null) clearInterval(timer);
      timer = null;
      stream.on("data", take);
    },
  };
}

function openTunnel(
  socket: net.Socket,
  { authority, ca }: NonNullable<DownloadOptions["tunnel"]>,
  begin: (on: net.Socket) => void,
  reject: (error: Error) => void,
): void {
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  socket.once("data", (answer: Buffer) => {
    if (!/^HTTP\/1\.1 200 .*\r\n\r\n$/s.test(answer.toString("latin1"))) {
      reject(new Error(`CONNECT: ${answer.toString("latin1")}`));
      socket.destroy();
      return;
    }
    const secured = tls.connect({ socket, ca, servername: authority.split(":")[0]! });
    secured.once("error", reject);
    secured.once("secureConnect", () => begin(secured));
  });
}
