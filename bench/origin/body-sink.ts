/**
 * An origin that reads the whole body of a request and then answers with how long it was.
 *
 *     body-sink.ts PORT
 */
import { createServer } from "node:http";

createServer((request, response) => {
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on("end", () => response.end(`${bytes}\n`));
}).listen(Number(process.argv[2]), "127.0.0.1");
