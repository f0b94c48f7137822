// `npm start`: a demo upstream and the proxy in front of it, as two processes, with what listens where and three
// commands to try. When one of them ends the other is ended too, so nothing is left behind; Ctrl-C ends both, as SIGTERM ends
// the proxy of a service: what is under way may end, and a second one cuts it off.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import path from "node:path";

const root = path.dirname(import.meta.dirname);

/** Where examples/start.yaml listens: the gateway, and the forward proxy. */
const proxyUrl = `http://127.0.0.1:${process.env.START_PORT || 8080}`;
const forwardUrl = `http://127.0.0.1:${process.env.START_FORWARD_PORT || 3128}`;
const upstreamUrl = `http://127.0.0.1:${process.env.START_UPSTREAM_PORT || 3900}`;

const commandsToTry = [
  `curl ${proxyUrl}/`,
  `curl -N ${proxyUrl}/events`,
  `curl -x ${forwardUrl} ${upstreamUrl}/headers`,
];

/** What has not answered after this long will not. */
const startMsMax = 30_000;
/** Signals of one Ctrl-C: of the terminal, and of npm, which passes it on. Nobody presses twice within this time. */
const sameSignalMs = 500;

const children = new Map<string, ChildProcess>();
let endingWith: number | null = null;
let signalledAt = Number.NEGATIVE_INFINITY;

/** Starts a program in a session of its own, where the terminal's Ctrl-C does not reach it; when it ends, all ends. */
function start(name: string, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, args, { cwd: root, detached: true, stdio: ["ignore", "pipe", "inherit"] });
  child.stdout?.pipe(process.stdout, { end: false });
  children.set(name, child);
  child.once("exit", (code, signal) => {
    children.delete(name);
    if (endingWith === null) console.error(`${name} ended (${signal ?? `exit ${code}`})`);
    end(code ?? 1);
  });
  return child;
}

/** Ends what still runs, the last first: what the proxy has under way needs the upstream. The exit code is that of the first to end. */
function end(code: number): void {
  endingWith ??= code;
  const last = [...children.values()].at(-1);
  if (last === undefined) process.exit(endingWith);
  last.kill("SIGTERM");
}

function signalled(): void {
  const now = performance.now();
  if (now - signalledAt < sameSignalMs) return;
  signalledAt = now;
  end(0);
}

/** Whether the proxy's own Via is on the answer: another program may hold the port, and then the proxy ends by itself. */
async function answersThroughProxy(): Promise<boolean> {
  const request = http.get(proxyUrl, { agent: false });
  try {
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    return response.statusCode === 200 && response.headers.via !== undefined;
  } catch {
    return false;
  }
}

// SIGHUP: the terminal is closed.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, signalled);

const upstream = start("the demo upstream", "examples/start-upstream.ts");
// It says where it listens once it does.
await once(upstream.stdout!, "data");
start("headgate", "--disable-sigusr1", "src/cli/main.ts", "run", "--config", "examples/start.yaml");

const giveUpAt = performance.now() + startMsMax;
while (endingWith === null && !(await answersThroughProxy())) {
  if (performance.now() > giveUpAt) {
    console.error(`no answer through ${proxyUrl} within ${startMsMax / 1000} s`);
    end(1);
    break;
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
}
if (endingWith === null) {
  console.log("\nTry, in another terminal:\n");
  for (const command of commandsToTry) console.log(`  ${command}`);
  console.log("\nCtrl-C ends both; a second one does not wait for what is under way.");
}
