/** The commands that speak to a running proxy: status, reload, drain, stop. */
import { once } from "node:events";
import type { Command } from "commander";
import type { Status } from "../server/control.ts";
import type { AdminAnswer } from "./admin-client.ts";
import type { WhichProxy } from "./admin-endpoints.ts";
import { CommandError } from "./command-error.ts";
import { statusReport, withoutControls } from "./status-report.ts";

const HTTP_OK = 200;
const HTTP_ACCEPTED = 202;

export function addAdminCommands(program: Command): void {
  const add = (name: string, description: string): Command =>
    program
      .command(name)
      .description(description)
      .option(
        "--admin <address>",
        "where the running proxy has its admin interface: unix:/run/headgate.sock, 127.0.0.1:9000",
      )
      .option("--config <file>", "the configuration of the running proxy; otherwise the one in the current folder");

  add("status", "say how the running proxy is: its listeners, and its workers")
    .option("--json", "all of it, as JSON", false)
    .action(async ({ json, ...which }: WhichProxy & { json: boolean }) => {
      const { body, address } = await answered(askAdmin("GET", "/status", which), HTTP_OK);
      print(json ? [JSON.stringify(body, null, 2)] : statusReport(body as unknown as Status, address));
    });

  add("reload", "let the running proxy read its configuration again, and say what has changed").action(
    async (which: WhichProxy) => {
      const { body } = await answered(askAdmin("POST", "/reload", which), HTTP_OK);
      for (const warning of linesOf(body.warnings)) console.error(`warning: ${warning}`);
      print([withoutControls(`loaded again: ${body.change}`)]);
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

async function askAdmin(method: "GET" | "POST", path: string, which: WhichProxy): Promise<AdminAnswer> {
  const client = await import("./admin-client.ts");
  return client.askAdmin(method, path, which);
}

async function answered(asking: Promise<AdminAnswer>, status: number): Promise<AdminAnswer> {
  const answer = await accepted(asking, status);
  answer.socket.destroy();
  return answer;
}

/** Its socket is still open. Rejects with a CommandError when the proxy refuses. */
async function accepted(asking: Promise<AdminAnswer>, status: number = HTTP_ACCEPTED): Promise<AdminAnswer> {
  const answer = await asking;
  if (answer.status === status) return answer;
  answer.socket.destroy();
  const { error, problems } = answer.body;
  const sentence = typeof error === "string" ? error : `${answer.address}: an answer of status ${answer.status}`;
  throw new CommandError([...linesOf(problems), withoutControls(sentence)]);
}

/** The proxy leaves this connection to the kernel, which closes it when the process has ended. */
async function tellEnd({ body, socket }: AdminAnswer): Promise<void> {
  // What ends by an error has ended as well.
  socket.on("error", () => {}).resume();
  if (!socket.closed) await once(socket, "close");
  print([`process ${body.pid} has ended`]);
}

function linesOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map((line) => withoutControls(String(line))) : [];
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}
