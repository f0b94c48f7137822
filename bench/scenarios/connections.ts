/** What accepting and closing costs. */
import { requestCost } from "./request-cost.ts";

export const connections = requestCost({
  name: "connections",
  title: "a new connection for each request",
  about:
    "Every request says `Connection: close`, so accepting and closing is part of its cost. Connections to the origin are kept.",
  abilities: ["reverse", "closing"],
  headers: ["Connection: close"],
  chart: "new connection per request",
});
