/** The commands that speak to a running proxy: status, reload, upgrade, drain, stop. */
import { once } from "node:events";
import type { Command } from "commander";
import type { Status } from "../server/control.ts";
import { accepted, answered, askAdmin, linesOf, print, withProxyOptions } from "./admin-answers.ts";
import type { AdminAnswer } from "./admin-client.ts";
import type { WhichProxy } from "./admin-endpoints.ts";
import { statusReport, withoutControls } from "./status-report.ts";

/** An upgrade has a minute, and what is behind another one waits for that first: the proxy says itself that the time was up. */
const PATIENT = { silenceMsMax: 180_000 };

export function addAdminCommands(program: Command): void {
  const add = (name: string, description: string): Command =>
    withProxyOptions(program.command(name).description(description));

  add("status", "say how the running proxy is: its listeners, and its workers")
    .option("--json", "all of it, as JSON", false)
    .action(async ({ json, ...which }: WhichProxy & { json: boolean }) => {
      const { body, address } = await answered(askAdmin("GET", "/status", which));
      print(json ? [JSON.stringify(body, null, 2)] : statusReport(body as unknown as Status, address));
    });

  add("reload", "let the running proxy read its configuration again, and say what has changed").action(
    async (which: WhichProxy) => {
      const { body } = await answered(askAdmin("POST", "/reload", which, PATIENT));
      for (const warning of linesOf(body.warnings)) console.error(`warning: ${warning}`);
      print([withoutControls(`loaded again: ${body.change}`)]);
    },
  );

  add("upgrade", "start the program again in place of the running proxy, which goes on with what is under way").action(
    async (which: WhichProxy) => {
      const { body } = await answered(askAdmin("POST", "/upgrade", which, PATIENT));
      print([`process ${body.pid} serves; process ${body.from} ends when what is under way has ended`]);
    },
  );

  add("drain", "let the running proxy end what is under way, and then itself; waits until it has ended")
    .option("--no-wait", "return at once")
    .action(async ({ wait, ...which }: WhichProxy & { wait: boolean }) => {
      const answer = await accepted(askAdmin("POST", "/drain", which));
      print([`process ${answer.body.pid} accepts nothing new, and ends when what is under way has ended`]);
      if (wait) await tellEnd(answer);
      else answer.socket.destroy();
    });

  add("stop", "end the running proxy at once, with everything that is under way").action(async (which: WhichProxy) =>
    tellEnd(await accepted(askAdmin("POST", "/stop", which))),
  );
}

/** The proxy leaves this connection to the kernel, which closes it when the process has ended. */
async function tellEnd({ body, socket }: AdminAnswer): Promise<void> {
  // What ends by an error has ended as well.
  socket.on("error", () => {}).resume();
  if (!socket.closed) await once(socket, "close");
  print([`process ${body.pid} has ended`]);
}
