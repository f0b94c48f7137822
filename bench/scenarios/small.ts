/** The work of a proxy itself, and the claims that the project stands on. */
import { requestCost } from "./request-cost.ts";
import { MANY_SHORT_ROUNDS } from "./scenario.ts";

const cost = { metric: "cpuUs", statistic: "median" } as const;

export const small = requestCost({
  name: "small",
  title: "a small answer (26 bytes of JSON), kept connections",
  about: "The work of a proxy itself: almost no bytes, so what is left is system calls, heads and bookkeeping.",
  chart: "small answer",
  ...MANY_SHORT_ROUNDS,
  claims: [
    { text: "at most 0.90 of nginx", row: "headgate", against: "nginx", atMost: 0.9, ...cost },
    { text: "at most 0.95 of HAProxy", row: "headgate", against: "haproxy", atMost: 0.95, ...cost },
    { text: "at most 1.25 of the floor", row: "headgate", against: "floor", atMost: 1.25, ...cost },
    { text: "on Node's own sockets at most 1.2 of nginx", row: "headgate-net", against: "nginx", atMost: 1.2, ...cost },
  ],
});
