/**
 * The floor: the least that a relay can do (bench/floor/floor.c), compiled when it is first asked for. It looks at no byte,
 * so it stands for the cost of the system calls alone.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { findCommand } from "../processes/commands.ts";
import type { Target } from "./target.ts";

const source = path.join(path.dirname(import.meta.dirname), "floor", "floor.c");
const program = path.join(path.dirname(source), "build", "floor");

function compile(): void {
  const built = statSync(program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (built > statSync(source).mtimeMs) return;
  mkdirSync(path.dirname(program), { recursive: true });
  const { status, stderr } = spawnSync("cc", ["-O2", "-Wall", "-Wextra", "-o", program, source], { encoding: "utf8" });
  if (status !== 0) throw new Error(`cc failed: ${stderr}`);
}

export const floor: Target = {
  name: "floor",
  // As a forward proxy it passes absolute forms on to the one origin that it has.
  abilities: ["reverse", "forward"],
  lacks: {
    connect: "the floor reads no heads, so it answers no CONNECT",
    closing: "the floor reads no heads, so the origin would close its connections too",
    workers: "the floor has one thread",
    websocket: "the floor reads no heads, so it cannot tell an upgrade",
  },
  missing: () => (findCommand("cc") === null ? "apt-get install gcc libc6-dev" : null),
  version: () => "",
  launch({ port, originPort }) {
    compile();
    return { command: [program, String(port), String(originPort)] };
  },
};
