/**
 * The command's program. It reads the command line, hands each command to its file, and says in plain lines why something cannot be
 * done: status 1 when the configuration or the machine is to blame, 2 when the command line is. No stack is shown, unless
 * HEADGATE_DEBUG=1 asks for it. What a command alone needs is imported by it: a proxy has no use for what `explain` does.
 */
import { Command, CommanderError } from "commander";
import { Predecessor } from "../server/upgrade/predecessor.ts";
import { addAdminCommands } from "./admin-commands.ts";
import { addCaCommands } from "./ca-commands.ts";
import { addCacheCommands } from "./cache-commands.ts";
import { CommandError, STATUS_FAILED, STATUS_USAGE } from "./command-error.ts";
import { chooseConfigFile, loadConfigFile } from "./config-file.ts";
import type { ExplainOptions } from "./explain.ts";
import { addForwardCommand } from "./forward-command.ts";
import { configOfFlags, type ProxyFlags } from "./proxy-flags.ts";
import { addSessionCommands } from "./session-commands.ts";
import { version } from "./version.ts";

const EXAMPLES = `
Examples:
  headgate proxy --listen :8008 --to http://127.0.0.1:3000
  headgate proxy --listen :8008 --to http://127.0.0.1:3000 --path /up --websocket
  headgate forward
  headgate run --config headgate.yaml --watch
  headgate check headgate.yaml
  headgate explain GET https://app.example.org/jmap/ws --header "Upgrade: websocket" --header "Connection: Upgrade"`;

function makeProgram(): Command {
  const program = new Command("headgate")
    .description("A programmable HTTP proxy.")
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText("after", EXAMPLES);

  program
    .command("run")
    .description("serve what a configuration file says")
    .argument("[file]", "the file; otherwise headgate.yaml, .yml, .json or .ts in the current folder")
    .option("--config <file>", "the same")
    .option("--watch", "load the file again whenever it changes", false)
    .addHelpText(
      "after",
      "\nSIGHUP loads the file again and opens log files anew. SIGTERM and SIGINT let exchanges end first; a second one does not.",
    )
    .action(async (file: string | undefined, options: { config?: string; watch: boolean }) => {
      const chosen = chooseConfigFile(onceNamed(file, options.config));
      const watch = options.watch ? new (await import("../server/watch.ts")).WatchedFile(chosen) : null;
      const loaded = await loadConfigFile(chosen);
      const { serve } = await import("./service.ts");
      const { openingLines } = await import("./forward-hints.ts");
      await serve({ ...loaded, watch, hints: () => openingLines(loaded.config.servers) });
    });

  program
    .command("proxy")
    .description("reverse proxy without a file")
    .requiredOption("--listen <address>", "where clients connect to: :8008, 127.0.0.1:8008, unix:/run/proxy.sock")
    .requiredOption("--to <url>", "the server that requests go to: http://127.0.0.1:3000, unix:/run/app.sock")
    .option("--path <path>", "only requests for this path (/up), or for all below (/app/*); others get 404")
    .option("--websocket", "only requests that ask for an upgrade to WebSocket; others get 404")
    .option("--server-name <name>", "the name to ask the https server for, and to verify")
    .option("--insecure", "accept any certificate of the https server: for tests only")
    .option("--host-header <host>", "the Host that the server sees: preserve (the client's), upstream, or a name")
    .option("--workers <n>", "how many threads serve; otherwise one for each core")
    .action(async (flags: ProxyFlags) => {
      const { serve } = await import("./service.ts");
      await serve({ ...configOfFlags(flags), file: null, watch: null });
    });

  addForwardCommand(program);

  program
    .command("check")
    .description("say whether a configuration file is right, and where it is not")
    .argument("[file]", "the file; otherwise the one in the current folder")
    .option("--config <file>", "the same")
    .action(async (file: string | undefined, { config }: { config?: string }) => {
      const { check } = await import("./check.ts");
      await check(onceNamed(file, config));
    });

  program
    .command("schema")
    .description("print the JSON Schema of the configuration")
    .action(async () => {
      const { configJsonSchema } = await import("../config/json-schema.ts");
      console.log(JSON.stringify(configJsonSchema(), null, 2));
    });

  program
    .command("explain")
    .description(
      "say which route, features and upstream a request would meet, or which rule of a forward proxy, and why",
    )
    .argument("<method>", "the method, such as GET or CONNECT")
    .argument("<url>", "a URL (http, https, ws, wss) or a path; with CONNECT a host and a port, with OPTIONS * as well")
    .option("--config <file>", "the file; otherwise the one in the current folder")
    .option("--header <field>", "a header field of the request, as 'Name: value'; may be repeated", collect, [])
    .option("--client <ip>", "the client's address", "127.0.0.1")
    .option("--user <name>", "the user that has said who it is, for a forward proxy that asks")
    .option("--server <name>", "the server, when the URL leaves that open")
    .action(async (method: string, url: string, options: ExplainOptions) => {
      const { explain } = await import("./explain.ts");
      console.log((await explain(method, url, options)).join("\n"));
    });

  program
    .command("user")
    .description("make the line for a file of users: the password is read from standard input")
    .argument("<name>", "the name of the user")
    .addHelpText("after", "\nThe line alone goes to standard output: headgate user ann < password.txt >> users")
    .action(async (name: string) => {
      const { printUserLine } = await import("./user-line.ts");
      await printUserLine(name);
    });

  program
    .command("api-key")
    .description("make a key for apiKey: the key is shown once, and the line that stands for it is printed")
    .argument("<name>", "whose key it is")
    .addHelpText("after", "\nThe line alone goes to standard output: headgate api-key build-farm >> keys.txt")
    .action(async (name: string) => {
      const { printNewApiKey } = await import("./api-key.ts");
      printNewApiKey(name);
    });

  addAdminCommands(program);
  addCacheCommands(program);
  addSessionCommands(program);
  addCaCommands(program);

  return program;
}

function onceNamed(file: string | undefined, config: string | undefined): string | undefined {
  if (file === undefined || config === undefined) return file ?? config;
  throw new CommandError([`error: the file is named twice: ${file} and --config ${config}`], STATUS_USAGE);
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

/** Tells why a command failed, and gives the status to end with. */
function report(error: unknown, predecessor: Predecessor | null): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : STATUS_USAGE;
  const lines = error instanceof CommandError ? error.lines : [error instanceof Error ? error.message : String(error)];
  // Whose log is of another form than lines for a person.
  if (predecessor !== null) predecessor.fail(lines);
  else for (const line of lines) console.error(line);
  if (process.env.HEADGATE_DEBUG === "1") console.error(error);
  return error instanceof CommandError ? error.status : STATUS_FAILED;
}

/** Runs the command line of this process, whose status it sets. */
export async function runProgram(): Promise<void> {
  // Whoever reads our output may stop reading: `headgate schema | head` is no fault.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  let predecessor: Predecessor | null = null;
  try {
    predecessor = Predecessor.find();
    await makeProgram().parseAsync();
  } catch (error) {
    process.exitCode = report(error, predecessor);
  }
}
