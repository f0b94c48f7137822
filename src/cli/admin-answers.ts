/** What the commands have in common that speak to a running proxy: how it is found, how its answers and its refusals are told. */
import { realpathSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import type { AdminAnswer, Question } from "./admin-client.ts";
import { fileOf, type WhichProxy } from "./admin-endpoints.ts";
import { CommandError, STATUS_FAILED, STATUS_USAGE } from "./command-error.ts";
import { withoutControls } from "./status-report.ts";

export const HTTP_OK = 200;
export const HTTP_ACCEPTED = 202;
const HTTP_BAD_REQUEST = 400;

/** The options by which a command finds the proxy. */
export function withProxyOptions(command: Command): Command {
  return command
    .option(
      "--admin <address>",
      "where the running proxy has its admin interface: unix:/run/headgate.sock, 127.0.0.1:9000",
    )
    .option("--config <file>", "the configuration of the running proxy; otherwise the one in the current folder");
}

export async function askAdmin(
  method: "GET" | "POST",
  resource: string,
  which: WhichProxy,
  question?: Question,
): Promise<AdminAnswer> {
  const client = await import("./admin-client.ts");
  if (method === "POST") await insistOnFile(which, client);
  return client.askAdmin(method, resource, which, question);
}

/**
 * Two configurations that name no place for their admin interface mean the same one, which the proxy has that came first: what was
 * meant for the one of this folder must not end, or change, the other.
 */
async function insistOnFile(which: WhichProxy, client: typeof import("./admin-client.ts")): Promise<void> {
  const file = fileOf(which);
  if (file === null) return;
  const { body, address } = await answered(client.askAdmin("GET", "/status", which));
  const served = body.config;
  if (typeof served !== "string" || realPath(served) === realPath(file)) return;
  throw new CommandError([
    withoutControls(
      `the proxy at ${address} serves ${served}, and not ${path.resolve(file)}: if it is meant, say --admin ${address}`,
    ),
  ]);
}

function realPath(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    return path.resolve(file);
  }
}

/** Its socket is closed. Rejects with a CommandError when the proxy refuses. */
export async function answered(asking: Promise<AdminAnswer>, status: number = HTTP_OK): Promise<AdminAnswer> {
  const answer = await accepted(asking, status);
  answer.socket.destroy();
  return answer;
}

/** Its socket is still open. Rejects with a CommandError when the proxy refuses. */
export async function accepted(asking: Promise<AdminAnswer>, status: number = HTTP_ACCEPTED): Promise<AdminAnswer> {
  const answer = await asking;
  if (answer.status === status) return answer;
  answer.socket.destroy();
  const { error, problems } = answer.body;
  const sentence = typeof error === "string" ? error : `${answer.address}: an answer of status ${answer.status}`;
  // What the command line says in full, the proxy judges: a number out of its range, what is no URL.
  const blame = answer.status === HTTP_BAD_REQUEST ? STATUS_USAGE : STATUS_FAILED;
  throw new CommandError([...linesOf(problems), withoutControls(sentence)], blame);
}

export function linesOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map((line) => withoutControls(String(line))) : [];
}

export function print(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}
