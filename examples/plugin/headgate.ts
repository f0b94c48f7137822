// A configuration with a plugin: headgate run --config headgate.ts

import { defineConfig } from "headgate";
import { Visits } from "./visits.ts";

const { PORT = "8080", UPSTREAM_PORT = "3000" } = process.env;

export default defineConfig({
  // Each worker imports this file and has a plugin of its own, which counts for itself; with one there is one count.
  workers: 1,
  servers: {
    web: {
      listen: `127.0.0.1:${PORT}`,
      use: [new Visits()],
      proxy: `http://127.0.0.1:${UPSTREAM_PORT}`,
    },
  },
});
