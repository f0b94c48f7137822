/** Headgate from this tree, on either transport: from its sources, or as it is installed, from the JavaScript made of them. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import type { Assignment, Certificate, Sessions, Target } from "./target.ts";

const root = path.dirname(path.dirname(import.meta.dirname));
const sourceProgram = ["--conditions=headgate-source", "--disable-sigusr1", path.join(root, "src/cli/main.ts")];
const installedProgram = ["--disable-sigusr1", path.join(root, "dist/cli/main.js")];

/** Makes the JavaScript anew when a source is newer. */
function build(): void {
  const built = statSync(installedProgram.at(-1)!, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" });
  if (sources.every((name) => statSync(path.join(root, "src", name)).mtimeMs < built)) return;
  const { status, stdout } = spawnSync(process.execPath, [path.join(root, "scripts/build.ts")], { encoding: "utf8" });
  if (status === 0) return;
  // What a failed build leaves would count as built the next time.
  rmSync(path.join(root, "dist"), { recursive: true, force: true });
  throw new Error(`npm run build failed: ${stdout.trim().split("\n")[0]}`);
}

type Transport = "native" | "net";

/** The configuration as data. With a plugin it is a file of bench/plugins, which reads the same from the environment. */
export function headgateConfig(assignment: Assignment, transport: Transport): object {
  const { folder, port, role, clientsMax, originPort, workers, accessLog, routes, tls } = assignment;
  const { authPort, keepsDecisions, sessions, cache } = assignment;
  const origin = `http://127.0.0.1:${originPort}`;
  const address = `127.0.0.1:${port}`;
  const forwardAuth = {
    address: `http://127.0.0.1:${authPort}/auth`,
    responseHeaders: ["x-user"],
    ...(keepsDecisions && { decisions: { for: "10s", by: ["header:authorization"] } }),
  };
  const use = [
    ...(authPort === null ? [] : [{ forwardAuth }]),
    ...(sessions === null ? [] : [credentials(folder, sessions)]),
    ...(cache === null ? [] : [{ cache: { store: "objects" } }]),
  ];
  const target =
    routes === null
      ? { proxy: origin, use }
      : {
          routes: routes.hosts.flatMap((host) =>
            routes.paths.map((prefix) => ({ match: { host, path: `${prefix}/*` }, proxy: "origin" })),
          ),
        };
  return {
    transport,
    workers,
    admin: "off",
    // The others say nothing of themselves in Via either.
    via: "off",
    log: { level: "error", access: accessLog === null ? "off" : { format: "combined", output: accessLog } },
    limits: { idle: "1h" },
    ...(cache !== null && {
      caches: { objects: { directory: cache.folder, size: cache.diskBytes, memory: cache.memoryBytes, minFree: 0 } },
    }),
    ...(role === "forward"
      ? { servers: { egress: { listen: [address], forward: forwardToLoopback(clientsMax) } } }
      : {
          upstreams: { origin: { servers: [origin] } },
          servers: { web: { listen: [tls === null ? address : { address, tls: certificates(tls) }], ...target } },
        }),
  };
}

function certificates({ cert, key }: Certificate): object {
  return { certificates: [{ cert, key }] };
}

/** Private destinations must be permitted by their network, and only the usual ports are open unless others are named. */
function forwardToLoopback(clientsMax: number): object {
  const loopback = ["127.0.0.0/8"];
  const ports = ["1-65535"];
  return {
    allow: [{ clients: loopback, networks: loopback, ports, connectPorts: ports }],
    // The load has one address.
    tunnelsPerClient: clientsMax,
    timeouts: { idle: "1h" },
  };
}

function credentials(folder: string, { redisPort, jwt, credentials }: Sessions): object {
  const file = (name: string, text: string): object => {
    writeFileSync(path.join(folder, name), text, { mode: 0o600 });
    return { file: name };
  };
  return {
    credentials: {
      token: { cookie: "Authorization", algorithm: "HS512", key: file("jwt.key", jwt) },
      session: { store: `redis://127.0.0.1:${redisPort}`, key: "{sid}" },
      decrypt: { algorithm: "aes-256-gcm", key: file("credentials.key", credentials) },
    },
  };
}

function headgate(name: string, transport: Transport): Target {
  return {
    name,
    abilities: [
      "reverse",
      "closing",
      "tls",
      "workers",
      "websocket",
      "routes",
      "accessLog",
      "redisReads",
      "credentials",
      "forwardAuth",
      "keptDecisions",
      "forward",
      "connect",
      "cache",
    ],
    missing: () => null,
    version: () => (JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string }).version,
    launch(assignment) {
      const { folder, redisPort, asInstalled } = assignment;
      if (asInstalled) build();
      const program = asInstalled ? installedProgram : sourceProgram;
      const config = headgateConfig(assignment, transport);
      if (redisPort !== null) {
        return {
          command: [process.execPath, ...program, "run", "--config", path.join(root, "bench/plugins/redis-reads.ts")],
          env: { BENCH_CONFIG: JSON.stringify(config), REDIS_PORT: String(redisPort) },
        };
      }
      const file = path.join(folder, "headgate.json");
      writeFileSync(file, JSON.stringify(config));
      return { command: [process.execPath, ...program, "run", "--config", file] };
    },
  };
}

export const headgateNative = headgate("headgate", "native");
export const headgateNet = headgate("headgate-net", "net");
