// Squid, tinyproxy and Dante from the system, as proxies to go through: each with a configuration of its own, gone behind the test.
// The test must have asked for `needs` of the command.

import { chmodSync } from "node:fs";
import { TestFolder } from "./folder.ts";
import { freePort } from "./free-port.ts";
import { Program } from "./program.ts";
import { findCommand } from "./requirements.ts";

export type RealParentName = "squid" | "tinyproxy" | "danted";

/** What squid and tinyproxy ask for; danted would ask the system. */
export const PARENT_LOGIN = "ci:secret";

export class RealParent {
  readonly url: string;
  readonly port: number;
  readonly #program: Program;
  readonly #folder: TestFolder;
  readonly #stop: NodeJS.Signals;

  private constructor(url: string, port: number, program: Program, folder: TestFolder, stop: NodeJS.Signals) {
    this.#stop = stop;
    this.url = url;
    this.port = port;
    this.#program = program;
    this.#folder = folder;
  }

  static async start(name: RealParentName): Promise<RealParent> {
    const folder = new TestFolder();
    // Squid reads as another user than the one that starts it.
    chmodSync(folder.path, 0o755);
    const port = await freePort();
    const { config, args, ready, scheme, stop } = KINDS[name];
    const file = folder.write("parent.conf", config(port, folder));
    const program = Program.command(findCommand(name)!, [...args, file]);
    const parent = new RealParent(`${scheme}127.0.0.1:${port}`, port, program, folder, stop);
    try {
      await program.until(ready);
    } catch (error) {
      await parent[Symbol.asyncDispose]();
      throw error;
    }
    return parent;
  }

  /** What it has said of itself. */
  get said(): string {
    return this.#program.output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop(this.#stop);
    this.#folder[Symbol.dispose]();
  }
}

interface Kind {
  readonly scheme: string;
  readonly args: readonly string[];
  /** What it says when it listens. */
  readonly ready: RegExp;
  readonly stop: NodeJS.Signals;
  config(port: number, folder: TestFolder): string;
}

const KINDS: Readonly<Record<RealParentName, Kind>> = {
  squid: {
    scheme: `http://${PARENT_LOGIN}@`,
    args: ["-N", "-f"],
    ready: /Accepting HTTP Socket connections/,
    // Asked to end, it takes two seconds over it; its one helper ends when it is gone.
    stop: "SIGKILL",
    config: (port, folder) => {
      const login = PARENT_LOGIN.replace(":", " ");
      const answer = `while read login; do [ "$login" = "${login}" ] && echo OK || echo ERR; done\n`;
      const script = folder.write("authenticate", answer);
      return `
http_port 127.0.0.1:${port}
pid_filename none
coredump_dir none
cache deny all
access_log none
cache_log stdio:/dev/stderr
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname parent
auth_param basic program /bin/sh ${script}
auth_param basic children 1 startup=1
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
`;
    },
  },
  tinyproxy: {
    scheme: `http://${PARENT_LOGIN}@`,
    args: ["-d", "-c"],
    ready: /Accepting connections/,
    stop: "SIGTERM",
    config: (port) => {
      const login = PARENT_LOGIN.replace(":", " ");
      return `Port ${port}\nListen 127.0.0.1\nTimeout 60\nBasicAuth ${login}\nLogLevel Info\nMaxClients 20\n`;
    },
  },
  danted: {
    scheme: "socks5://",
    args: ["-f"],
    ready: /running/,
    stop: "SIGTERM",
    config: (port) => `
logoutput: stderr
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
`,
  },
};
