/** What may be asked of the proxy as a whole: how it is, to read its configuration again, and to end. */
import type { Control } from "../server/control.ts";
import { Refusal } from "./refusal.ts";
import { Farewell, type Operation } from "./router.ts";

export function controlOperations(control: Control): readonly Operation[] {
  return [
    {
      method: "GET",
      path: "/status",
      sentence: "Says what runs, what it listens on, and how each worker is.",
      run: () => control.status(),
    },
    {
      method: "POST",
      path: "/reload",
      sentence: "Reads the configuration's file again, as SIGHUP does, and says what has changed or what is wrong.",
      run: () => reload(control),
    },
    {
      method: "POST",
      path: "/upgrade",
      sentence:
        "Starts the program again on the same sockets; this process ends when what is under way has, as by SIGUSR2.",
      run: () => upgrade(control),
    },
    {
      method: "POST",
      path: "/drain",
      sentence: "Accepts nothing new, lets exchanges end within drainTimeout, and ends the process, as SIGTERM does.",
      run: () => new Farewell({ state: "draining", pid: control.status().pid }, () => control.drain()),
    },
    {
      method: "POST",
      path: "/stop",
      sentence: "Cuts everything off and ends the process at once.",
      run: () => new Farewell({ state: "stopping", pid: control.status().pid }, () => control.stop()),
    },
  ];
}

async function reload(control: Control): Promise<unknown> {
  const outcome = await control.reload();
  switch (outcome.kind) {
    case "loaded":
      return { change: outcome.change, warnings: outcome.warnings };
    case "failed": {
      const { problems } = outcome;
      throw new Refusal(422, "the configuration was not loaded: the old one goes on serving", { problems });
    }
    case "refused":
      throw new Refusal(409, outcome.reason);
  }
}

async function upgrade(control: Control): Promise<unknown> {
  const { pid: from } = control.status();
  const outcome = await control.upgrade();
  switch (outcome.kind) {
    case "replaced":
      return { pid: outcome.pid, from };
    case "failed":
      throw new Refusal(422, `${outcome.reason}; process ${from} goes on serving`, { problems: outcome.problems });
    case "refused":
      throw new Refusal(409, outcome.reason);
  }
}
