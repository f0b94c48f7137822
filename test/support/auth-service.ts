// An authentication service in a process of its own, which can be ended and started again: says 204 to "Bearer good",
// 401 to all else. Its port is the first argument.
import http from "node:http";

const server = http.createServer((request, response) => {
  const isGood = request.headers.authorization === "Bearer good";
  if (isGood) response.writeHead(204, { "X-User": "ann" }).end();
  else response.writeHead(401).end("no\n");
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("asks may come"));
