// WebSockets on /up go to the server on port 3000; everything else is 404, since no route matches.

import { createProxy } from "headgate";

const { GATEWAY_PORT = "8008", UPSTREAM_PORT = "3000" } = process.env;

const gateway = createProxy({
  listen: `:${GATEWAY_PORT}`,
  routes: [{ match: { path: "/up", websocket: true }, proxy: `http://127.0.0.1:${UPSTREAM_PORT}` }],
  log: { level: "info" },
});

const [listening] = await gateway.listen();
console.log(`gateway on port ${listening?.address.port}`);

process.once("SIGTERM", () => gateway.close());
