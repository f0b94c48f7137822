// An application that knows nothing of passwords: it believes what the gateway says of the user.

import http from "node:http";
import type { AddressInfo } from "node:net";

const server = http.createServer((request, response) => {
  const { "x-user": user = "nobody", "x-groups": groups = "none" } = request.headers;
  response.end(`hello ${user} of ${groups}\n`);
});
server.listen(Number(process.env.UPSTREAM_PORT ?? 3000), "127.0.0.1", () => {
  console.log(`upstream on port ${(server.address() as AddressInfo).port}`);
});
