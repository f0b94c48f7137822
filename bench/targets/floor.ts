/**
 * The floor: the least that a relay can do (bench/floor/floor.c). It looks at no byte,
 * so it stands for the cost of the system calls alone.
 */
import path from "node:path";
import { compiled, missingCompiler } from "../processes/c-programs.ts";
import type { Target } from "./target.ts";

const source = path.join(path.dirname(import.meta.dirname), "floor", "floor.c");

export const floor: Target = {
  name: "floor",
  // As a forward proxy it passes absolute forms on to the one origin that it has.
  abilities: ["reverse", "forward", "workers"],
  lacks: {
    connect: "the floor reads no heads, so it answers no CONNECT",
    closing: "the floor reads no heads, so the origin would close its connections too",
    websocket: "the floor reads no heads, so it cannot tell an upgrade",
  },
  missing: missingCompiler,
  version: () => "",
  launch({ port, originPort, workers }) {
    return { command: [compiled(source), String(port), String(originPort), String(workers)] };
  },
};
