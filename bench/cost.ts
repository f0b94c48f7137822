/**
 * CPU time per proxied request, side by side: every target is started on one processor, loaded for a short time in turn,
 * round after round, so that a drift of the machine hits all of them alike.
 *
 * The cost is the time that a target's threads really ran, from the kernel's own accounting (/proc/PID/task/N/schedstat),
 * divided by the requests that were answered: unlike requests per second it holds on a noisy machine. Quote medians and
 * ratios to nginx, never a single run.
 *
 *     npm run bench -- [--rounds 5] [--seconds 2] [--connections 64] [--only nginx,headgate]
 *
 * Needs Linux with two processors, Debian's nginx and wrk; haproxy and the npm peers (`npm ci` in bench/) are measured where
 * they are installed, and named where they are not.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const here = import.meta.dirname;
const TARGET_CPU = "0";
/** The load generator and the origin share the other processor. */
const LOAD_CPU = "1";
const START_TIMEOUT_MS = 10_000;

interface Target {
  readonly name: string;
  /** The command that listens on `port` and proxies to `originPort`, in the foreground; null where it is not installed. */
  command(port: number, originPort: number, folder: string): readonly string[] | null;
  readonly install: string;
}

const nginxConf = (folder: string, name: string, http: string): string => {
  const file = join(folder, `${name}.conf`);
  writeFileSync(
    file,
    `worker_processes 1; daemon off; pid ${folder}/${name}.pid; error_log ${folder}/${name}.err;
events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; keepalive_timeout 3600s; ${http} }
`,
  );
  return file;
};

const npmPeer = (name: string, program: string): Target => ({
  name,
  install: "npm ci, in bench/",
  command: (port, originPort) =>
    existsSync(join(here, "node_modules", name))
      ? [process.execPath, join(here, "peers", program), String(port), String(originPort)]
      : null,
});

const TARGETS: readonly Target[] = [
  {
    name: "nginx",
    install: "apt-get install nginx",
    command: (port, originPort, folder) =>
      installed("nginx") && [
        "nginx",
        "-c",
        nginxConf(
          folder,
          "proxy",
          `upstream u { server 127.0.0.1:${originPort}; keepalive 256; keepalive_requests 100000000; keepalive_timeout 3600s; }
 server { listen 127.0.0.1:${port} backlog=4096; location / { proxy_http_version 1.1; proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $remote_addr; proxy_pass http://u; } }`,
        ),
      ],
  },
  {
    name: "haproxy",
    install: "apt-get install haproxy",
    command: (port, originPort, folder) => {
      if (!installed("haproxy")) return null;
      const file = join(folder, "haproxy.cfg");
      writeFileSync(
        file,
        `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend f
  bind 127.0.0.1:${port}
  default_backend b
backend b
  option forwardfor
  server s 127.0.0.1:${originPort} pool-max-conn 512
`,
      );
      return ["haproxy", "-f", file, "-db"];
    },
  },
  {
    name: "headgate",
    install: "npm ci",
    command: (port, originPort, folder) => {
      const file = join(folder, "headgate.json");
      writeFileSync(
        file,
        JSON.stringify({
          transport: "net",
          log: { access: "off", level: "error" },
          servers: { web: { listen: [`127.0.0.1:${port}`], proxy: `http://127.0.0.1:${originPort}` } },
        }),
      );
      return [process.execPath, "--disable-sigusr1", join(here, "../src/cli/main.ts"), "run", "--config", file];
    },
  },
  npmPeer("fast-proxy", "fast-proxy.mjs"),
  npmPeer("@fastify/http-proxy", "fastify-http-proxy.mjs"),
  npmPeer("http-proxy", "http-proxy.mjs"),
];

function installed(command: string): [] | null {
  return spawnSync("sh", ["-c", `command -v ${command}`]).status === 0 ? [] : null;
}

interface Sample {
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
  readonly p99Ms: number;
  readonly residentMiB: number;
}

const children: ChildProcess[] = [];

function start(cpu: string, command: readonly string[]): ChildProcess {
  const child = spawn("taskset", ["-c", cpu, ...command], { stdio: ["ignore", "ignore", "inherit"] });
  children.push(child);
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until somebody listens; throws after START_TIMEOUT_MS. */
async function listening(port: number, what: string): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
    if (open) return;
    if (Date.now() > deadline) throw new Error(`${what} does not listen on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function family(pid: number): number[] {
  const pids = [pid];
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const list = readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim();
    for (const child of list === "" ? [] : list.split(" ")) pids.push(...family(Number(child)));
  }
  return pids;
}

function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0;
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0]);
    }
  }
  return nanoseconds / 1e9;
}

function residentMiB(pids: readonly number[]): number {
  const kib = pids.map((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0));
  return kib.reduce((sum, one) => sum + one, 0) / 1024;
}

function milliseconds(text: string): number {
  const [, value = "0", unit = "ms"] = /([\d.]+)(us|ms|s)/.exec(text) ?? [];
  return Number(value) * { us: 1e-3, ms: 1, s: 1e3 }[unit as "us" | "ms" | "s"];
}

async function load(port: number, pid: number, seconds: number, connections: number): Promise<Sample> {
  const pids = family(pid);
  const before = cpuSeconds(pids);
  const url = `http://127.0.0.1:${port}/`;
  const wrk = spawn("taskset", ["-c", LOAD_CPU, "wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--latency", url]);
  let output = "";
  wrk.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
  });
  await new Promise((resolve) => wrk.once("close", resolve));
  const used = cpuSeconds(pids) - before;
  const requests = Number(/(\d+) requests in/.exec(output)?.[1] ?? 0);
  if (requests === 0 || /Non-2xx|Socket errors/.test(output)) throw new Error(`port ${port}:\n${output}`);
  return {
    cpuUs: (used / requests) * 1e6,
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]),
    p99Ms: milliseconds(/99%\s+(\S+)/.exec(output)?.[1] ?? "0ms"),
    residentMiB: residentMiB(pids),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "2" },
      connections: { type: "string", default: "64" },
      only: { type: "string" },
    },
  });
  for (const needed of ["wrk", "nginx", "taskset"]) {
    if (installed(needed) === null) throw new Error(`${needed} is not installed: apt-get install ${needed}`);
  }
  const only = values.only?.split(",");
  const folder = mkdtempSync(join(tmpdir(), "headgate-bench-"));
  try {
    const originPort = await freePort();
    const conf = nginxConf(
      folder,
      "origin",
      `server { listen 127.0.0.1:${originPort} backlog=4096; location / { default_type application/json;
  return 200 '{"message":"Hello world"}\\n'; } }`,
    );
    start(LOAD_CPU, ["nginx", "-c", conf]);
    await listening(originPort, "the origin");
    const running: { name: string; port: number; pid: number; samples: Sample[] }[] = [];
    for (const target of TARGETS) {
      if (only !== undefined && !only.includes(target.name)) continue;
      const port = await freePort();
      const command = target.command(port, originPort, folder);
      if (command === null) {
        console.log(`${target.name} is not installed (${target.install}): left out`);
        continue;
      }
      const child = start(TARGET_CPU, command);
      await listening(port, target.name);
      running.push({ name: target.name, port, pid: child.pid!, samples: [] });
    }
    // One round that does not count: programs that compile as they run must have compiled.
    for (let round = 0; round <= Number(values.rounds); round++) {
      for (const { port, pid, samples } of running) {
        const sample = await load(port, pid, Number(values.seconds), Number(values.connections));
        if (round > 0) samples.push(sample);
      }
    }
    print(running);
  } finally {
    for (const child of children) child.kill("SIGTERM");
    await Promise.all(children.map((child) => child.exitCode ?? new Promise((resolve) => child.once("exit", resolve))));
    rmSync(folder, { recursive: true });
  }
}

function print(targets: readonly { name: string; samples: readonly Sample[] }[]): void {
  const cost = (samples: readonly Sample[]) => samples.map((sample) => sample.cpuUs);
  const first = targets[0]!;
  console.log(
    `| target | CPU/request µs, min | µs, median | ratio of minima | ratio of medians | requests/s | p99 ms | MiB |`,
  );
  console.log(`|---|---|---|---|---|---|---|---|`);
  for (const { name, samples } of targets) {
    const cells = [
      Math.min(...cost(samples)).toFixed(1),
      median(cost(samples)).toFixed(1),
      (Math.min(...cost(samples)) / Math.min(...cost(first.samples))).toFixed(2),
      (median(cost(samples)) / median(cost(first.samples))).toFixed(2),
      median(samples.map((sample) => sample.requestsPerSecond)).toFixed(0),
      median(samples.map((sample) => sample.p99Ms)).toFixed(2),
      Math.max(...samples.map((sample) => sample.residentMiB)).toFixed(0),
    ];
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  }
}

await main();
