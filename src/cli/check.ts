/** `headgate check`: everything that a start would find wrong, short of opening the addresses. */

import type { Config } from "../config/config.ts";
import { checkSetup } from "../server/check-setup.ts";
import { SetupError } from "../server/setup-error.ts";
import { CommandError } from "./command-error.ts";
import { chooseConfigFile, loadConfigFile, setupLines } from "./config-file.ts";
import { openingLines } from "./forward-hints.ts";

export async function check(named: string | undefined): Promise<void> {
  const file = chooseConfigFile(named);
  const { config, warnings } = await loadConfigFile(file);
  try {
    for (const warning of [...warnings, ...(await checkSetup(config))]) console.error(`warning: ${warning}`);
  } catch (error) {
    if (error instanceof SetupError) throw new CommandError(setupLines(error, file), undefined, error);
    throw error;
  }
  console.log(`${file}: ok, ${count(config.servers.length, "server")} with ${contentsOf(config)}`);
  for (const line of openingLines(config.servers)) console.log(line);
}

function contentsOf({ servers }: Config): string {
  const routes = servers.reduce((sum, server) => sum + server.routes.length, 0);
  const proxies = servers.filter(({ forward }) => forward !== null).length;
  const forward = proxies === 1 ? "a forward proxy" : `${proxies} forward proxies`;
  if (proxies === 0) return count(routes, "route");
  return routes === 0 ? forward : `${count(routes, "route")} and ${forward}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
