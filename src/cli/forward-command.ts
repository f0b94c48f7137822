/** `headgate forward`: a forward proxy without a file. */
import { type Command, Option } from "commander";
import type { Listening } from "../server/listening-url.ts";
import { configOfForwardFlags, type ForwardFlags, LISTEN_DEFAULT } from "./forward-flags.ts";

const AFTER = `
Without flags it serves this machine: requests to ports 80 and 443 of public addresses, and tunnels (https) to port 443.
Addresses of this machine and of private networks are refused unless --networks names them.

Examples:
  headgate forward
  headgate forward --listen :3128 --clients 10.0.0.0/8
  headgate forward --listen :3128 --clients 10.0.0.0/8 --cache /var/cache/headgate --size 50GiB
  printf 'open sesame' | headgate user ci > users
  headgate forward --listen :3128 --auth - < users
  headgate forward --networks 10.20.0.0/16 --connect-ports 443,8443 --hosts '*.example.org,registry.example.net'`;

export function addForwardCommand(program: Command): void {
  program
    .command("forward")
    .description("forward proxy without a file: what http_proxy and https_proxy point to")
    .option(
      "--listen <address>",
      "where clients connect to: :3128, 10.0.0.1:3128, unix:/run/proxy.sock",
      LISTEN_DEFAULT,
    )
    .addOption(
      new Option(
        "--auth <user:pass>",
        "a user who may use it: USER:PASSWORD, or USER:HASH as `headgate user` prints it; - reads a line for each from standard input, while everybody on this machine can read the command line (ps)",
      )
        .argParser((given: string, before: readonly string[]) => [...before, given])
        .default([], "nobody has to say who it is"),
    )
    .option("--clients <networks>", "the networks of its clients, such as 10.0.0.0/8,192.168.1.7")
    .option("--hosts <hosts>", "the only hosts that requests may go to, such as *.example.org,registry.example.net")
    .option("--ports <ports>", "the ports that requests may go to; otherwise 80,443")
    .option("--connect-ports <ports>", "the ports that tunnels may go to, such as 443,8000-8999; otherwise 443")
    .option("--networks <networks>", "private networks that requests may go to as well, such as 10.20.0.0/16")
    .option(
      "--via <url>",
      "the proxy that requests go through: http://, https:// or socks5://; of a list with commas, the first that can be reached. A password in it can be read by everybody on this machine (ps): a file keeps it",
    )
    .option(
      "--intercept <hosts>",
      "hosts whose HTTPS is opened, on the ports of tunnels, such as *.example.org: see `headgate ca init`",
    )
    .option("--ca <dir>", "the folder of the CA for --intercept; otherwise where `headgate ca init` makes one")
    .option(
      "--cache <dir>",
      "keep answers in this folder, and give them to all who ask for the same: see docs/cache.md",
    )
    .option("--size <size>", "how much --cache may take on the disk; otherwise 10GiB")
    .option("--workers <n>", "how many threads serve; otherwise one for each core")
    .addHelpText("after", AFTER)
    .action(async (flags: ForwardFlags) => {
      const loaded = await configOfForwardFlags(flags);
      const { serve } = await import("./service.ts");
      const { forwardHints } = await import("./forward-hints.ts");
      const { servers, caches } = loaded.config;
      const hints = (listening: readonly Listening[]) => forwardHints(servers[0]!, listening, caches);
      await serve({ ...loaded, file: null, watch: null, hints });
    });
}
