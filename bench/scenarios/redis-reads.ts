/** A plugin that waits for a store, three times a request. */
import { connect } from "node:net";
import { freePort } from "../../test/support/free-port.ts";
import { findCommand } from "../processes/commands.ts";
import { listening } from "../processes/ports.ts";
import { LOAD_CPU, missingCommand, type Stage } from "../stage.ts";
import { wrkRow } from "./request-cost.ts";
import { costColumns, type Scenario } from "./scenario.ts";

/** Starts a Redis that keeps nothing on disk; its port. */
export async function startRedis(stage: Stage): Promise<number> {
  const port = await freePort();
  const options = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const command = [findCommand("redis-server")!, ...options, "--dir", stage.folder];
  await listening(port, stage.children.start(command, { cpus: LOAD_CPU }));
  return port;
}

async function storeKeys(port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("MSET bench:1 alice bench:2 mail bench:3 secret\r\n"));
    socket.once("data", (answer) => {
      socket.destroy();
      if (answer.toString() === "+OK\r\n") resolve();
      else reject(new Error(`Redis answered: ${answer}`));
    });
    socket.once("error", reject);
  });
}

export const redisReads: Scenario = {
  name: "redis-reads",
  title: "a plugin reads three keys of Redis, one after another, for every request",
  about:
    "A plugin of Headgate and a program around http-proxy do the same, with the same small client of Redis. The line of nginx " +
    "reads nothing: it is there to compare with.",
  columns: costColumns("request", "requests/s"),
  baseline: "http-proxy",
  claims: [],
  missing: () => missingCommand("taskset", "nginx", "wrk", "redis-server"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const redisPort = await startRedis(stage);
    await storeKeys(redisPort);
    const targets = await stage.startAll(stage.able("redisReads"), { originPort, redisPort });
    const withoutReads = stage.options.targets.filter(({ name }) => name === "nginx" || name === "headgate");
    for (const target of withoutReads.filter((candidate) => candidate.missing() === null)) {
      const running = await stage.start(target, { originPort, name: `${target.name}, no reads` });
      if (running !== null) targets.push(running);
    }
    return targets.map((target) => wrkRow(stage, target));
  },
};
