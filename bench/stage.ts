/**
 * One scenario's stage: its folder, its origin, its targets, and what was left out and why. A target that is not installed,
 * cannot do what is asked or does not start is left out, and the scenario goes on. All that was started ends with the stage.
 */
import { chmodSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { issueCertificate } from "../test/support/certificates.ts";
import { freePort } from "../test/support/free-port.ts";
import { allowedCpus, CpuClock } from "./measure/cpu.ts";
import { anonymousBytes, residentBytes } from "./measure/memory.ts";
import { type WrkOptions, type WrkResult, wrk } from "./measure/wrk.ts";
import { nginxOrigin, type OriginFile } from "./origin/nginx-origin.ts";
import { compiled } from "./processes/c-programs.ts";
import { type Child, type Children, familyOf } from "./processes/children.ts";
import { findCommand } from "./processes/commands.ts";
import { listening, serving } from "./processes/ports.ts";
import type { Ability, Assignment, Certificate, Target } from "./targets/target.ts";

/** The target has a processor for itself; the origin and the load share the other one. */
const [first = 0, second = first] = allowedCpus();
export const TARGET_CPU = String(first);
export const LOAD_CPU = String(second);
export const BOTH_CPUS = `${first},${second}`;

/** What a load program may take beyond its time, until it counts as hanging. */
const LOAD_GRACE_MS = 20_000;

export interface LeftOut {
  readonly name: string;
  readonly reason: string;
}

export interface StageOptions {
  /** How long one target is loaded in one round. */
  readonly seconds: number;
  readonly connections: number;
  /** How many `idle` opens, and `active` keeps busy. */
  readonly idleConnections: number;
  readonly activeConnections: number;
  readonly targets: readonly Target[];
}

/** A target that is started and serves. */
export class Running {
  readonly name: string;
  readonly version: string;
  readonly port: number;
  readonly #child: Child;
  readonly #clock = new CpuClock();

  constructor(name: string, version: string, port: number, child: Child) {
    this.name = name;
    this.version = version;
    this.port = port;
    this.#child = child;
  }

  /** The CPU time of all its processes and threads until now. Throws when it has ended. */
  cpuSeconds(): number {
    return this.#clock.seconds(this.#family());
  }

  residentBytes(): number {
    return residentBytes(this.#family());
  }

  anonymousBytes(): number {
    return anonymousBytes(this.#family());
  }

  end(): Promise<void> {
    return this.#child.end();
  }

  #family(): number[] {
    if (!this.#child.running) throw new Error(`ended while it was measured: ${this.#child.lastLine}`);
    return familyOf(this.#child.pid);
  }
}

export class Stage {
  readonly options: StageOptions;
  readonly folder: string;
  readonly children: Children;
  readonly leftOut: LeftOut[] = [];
  /** What a reader of the numbers must know. */
  readonly notes: string[] = [];
  #folders = 0;
  readonly #diskFolders: string[] = [];

  constructor(children: Children, folder: string, options: StageOptions) {
    this.children = children;
    this.folder = folder;
    this.options = options;
  }

  #newFolder(name: string): string {
    const folder = path.join(this.folder, `${++this.#folders}-${name.replaceAll(/[^\w]+/g, "-")}`);
    mkdirSync(folder);
    return folder;
  }

  /** A folder on the disk, wherever the others are. */
  diskFolder(): string {
    const folder = mkdtempSync(path.join(tmpdir(), "headgate-bench-"));
    this.#diskFolders.push(folder);
    // As that of the whole run.
    chmodSync(folder, 0o755);
    return folder;
  }

  /** Removes what the scenario wrote, once nothing that it started runs any more. */
  clear(): void {
    for (const folder of [this.folder, ...this.#diskFolders]) rmSync(folder, { recursive: true, force: true });
  }

  /** Writes a file for the whole scenario, and gives its path. */
  writeFile(name: string, text: string): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }

  /** A certificate for this machine, signed by itself, with a key on P-256. */
  certificate(): Certificate {
    const { cert, key } = issueCertificate({ names: ["localhost", "127.0.0.1"] });
    return {
      cert: this.writeFile("cert.pem", cert),
      key: this.writeFile("key.pem", key),
      bundle: this.writeFile("bundle.pem", cert + key),
    };
  }

  /** Starts the nginx that answers, and gives its port. */
  async origin(options: OriginOptions = {}): Promise<number> {
    const { files = [], bodies = [], clientsMax = 4096, cpus = LOAD_CPU } = options;
    const port = await freePort();
    const command = nginxOrigin(this.#newFolder("origin"), port, files, clientsMax, bodies);
    await listening(port, this.children.start(command, { cpus }));
    return port;
  }

  /** Starts a program of the bench that listens on the first port among its arguments. */
  async program(file: string, ports: readonly number[]): Promise<Child> {
    const child = this.children.start([process.execPath, path.join(import.meta.dirname, file), ...ports.map(String)], {
      cpus: LOAD_CPU,
    });
    for (const port of ports) await listening(port, child);
    return child;
  }

  /** Starts a load program of the bench, which says "open" when its connections stand. Rejects when it ends before. */
  async load(file: string, args: readonly (string | number)[]): Promise<Child> {
    const source = path.join(import.meta.dirname, file);
    const program = source.endsWith(".c") ? [compiled(source)] : [process.execPath, source];
    const child = this.children.start([...program, ...args.map(String)], { cpus: LOAD_CPU });
    const opened = new Promise<void>((resolve) => {
      child.process.stdout!.on("data", () => {
        if (child.stdout.startsWith("open\n")) resolve();
      });
    });
    await Promise.race([opened, child.exited]);
    if (!child.stdout.startsWith("open\n")) throw new Error(child.lastLine);
    return child;
  }

  /** Runs a load program of the bench to its end, and gives the JSON that it writes. */
  async loadReport(file: string, args: readonly (string | number)[], seconds: number): Promise<unknown> {
    const command = [process.execPath, path.join(import.meta.dirname, file), ...args.map(String)];
    return JSON.parse(await this.children.run(command, { cpus: LOAD_CPU, msMax: seconds * 1000 + LOAD_GRACE_MS }));
  }

  wrk(options: Omit<WrkOptions, "cpus" | "connections" | "seconds"> & Partial<WrkOptions>): Promise<WrkResult> {
    const { connections, seconds } = this.options;
    return wrk(this.children, { cpus: LOAD_CPU, connections, seconds, ...options });
  }

  /** The targets that are installed and have all of the abilities; of the others it is noted why not. */
  able(...abilities: readonly Ability[]): Target[] {
    return this.options.targets.filter((target) => {
      const lacking = abilities.find((ability) => !target.abilities.includes(ability));
      const missing = target.missing();
      const reason =
        lacking !== undefined
          ? (target.lacks?.[lacking] ?? `the bench does not set it up for this (${lacking})`)
          : missing && `not installed: ${missing}`;
      if (reason !== null) this.leaveOut(target.name, reason);
      return reason === null;
    });
  }

  leaveOut(name: string, reason: string): void {
    // Where this run's files stood tells nobody anything.
    this.leftOut.push({ name, reason: reason.replaceAll(`${this.folder}/`, "") });
  }

  /** Starts a target, or notes why it does not start and gives null. */
  async start(target: Target, wanted: StartOptions): Promise<Running | null> {
    const { cpus = TARGET_CPU, name = target.name, pollMs, ...assigned } = wanted;
    try {
      const port = await freePort();
      const assignment: Assignment = {
        folder: this.#newFolder(name),
        port,
        role: "reverse",
        workers: 1,
        clientsMax: 4096,
        tls: null,
        routes: null,
        accessLog: null,
        accessLogBuffered: false,
        largeBuffers: false,
        authPort: null,
        keepsDecisions: false,
        redisPort: null,
        asInstalled: false,
        sessions: null,
        cache: null,
        ...assigned,
      };
      const { command, env = {}, stdoutFile } = target.launch(assignment);
      const stdout = stdoutFile === undefined ? null : openSync(stdoutFile, "a");
      const child = this.children.start(command, { cpus, env, ...(stdout === null ? {} : { stdout }) });
      if (stdout !== null) closeSync(stdout);
      await serving(port, child, pollMs);
      return new Running(name, target.version(), port, child);
    } catch (error) {
      this.leaveOut(name, `does not start: ${(error as Error).message}`);
      return null;
    }
  }

  /** Starts all that are able, in the order of the tables. */
  async startAll(targets: readonly Target[], wanted: StartOptions): Promise<Running[]> {
    const started: Running[] = [];
    for (const target of targets) {
      const running = await this.start(target, wanted);
      if (running !== null) started.push(running);
    }
    return started;
  }
}

export interface OriginOptions {
  readonly files?: readonly OriginFile[];
  /** The lengths of what it serves at /object/0, /object/1 and so on, and permits to be kept for a day. */
  readonly bodies?: readonly number[];
  readonly clientsMax?: number;
  readonly cpus?: string;
}

export type StartOptions = Pick<Assignment, "originPort"> &
  Partial<Assignment> & { readonly cpus?: string; readonly name?: string; readonly pollMs?: number };

/** Why a scenario cannot run on this machine at all, or null. */
export function missingCommand(...commands: readonly (keyof typeof PACKAGES)[]): string | null {
  const missing = commands.filter((command) => findCommand(command) === null);
  if (missing.length === 0) return null;
  return `needs ${missing.join(", ")}: apt-get install ${missing.map((command) => PACKAGES[command]).join(" ")}`;
}

/** The Debian packages of the commands that the bench itself needs. */
const PACKAGES = {
  nginx: "nginx",
  wrk: "wrk",
  h2load: "nghttp2-client",
  taskset: "util-linux",
  curl: "curl",
  "redis-server": "redis-server",
} as const;
