/** One body of 1 GiB, each way. What counts is CPU time per GiB. */
import { closeSync, ftruncateSync, openSync, statSync } from "node:fs";
import path from "node:path";
import { freePort } from "../../test/support/free-port.ts";
import { FILE_BYTES } from "../origin/nginx-origin.ts";
import { LOAD_CPU, missingCommand, type Running, type Stage } from "../stage.ts";
import type { Claim, Column, Row, Scenario } from "./scenario.ts";

/** A transfer that takes longer than this hangs. */
const TRANSFER_MS_MAX = 120_000;
const GIB = 1024 ** 3;

export const bulkColumns: readonly Column[] = [
  { title: "CPU/GiB ms, median", metric: "cpuMsPerGiB", statistic: "median", digits: 0 },
  { title: "min", metric: "cpuMsPerGiB", statistic: "min", digits: 0 },
  { title: "ratio", metric: "cpuMsPerGiB", statistic: "median", digits: 2, ratio: true },
  { title: "of minima", metric: "cpuMsPerGiB", statistic: "min", digits: 2, ratio: true },
  { title: "seconds", metric: "seconds", statistic: "median", digits: 2 },
  { title: "MiB", metric: "residentBytes", statistic: "max", digits: 0, per: 1024 ** 2 },
];

type Counter = "size_download" | "size_upload";

/** One transfer by curl, whose own count of the bytes that crossed must be 1 GiB. */
export async function transfer(stage: Stage, target: Running, args: readonly string[], counter: Counter) {
  const command = ["curl", "--silent", "--show-error", "--fail", "--write-out", `%{${counter}} %{time_total}`];
  const before = target.cpuSeconds();
  const output = await stage.children.run([...command, ...args], { cpus: LOAD_CPU, msMax: TRANSFER_MS_MAX });
  const used = target.cpuSeconds() - before;
  const [bytes = 0, seconds = 0] = output.split(" ").slice(-2).map(Number);
  if (bytes !== GIB) throw new Error(`${bytes} bytes crossed, not ${GIB}`);
  return { cpuMsPerGiB: used * 1000, seconds };
}

function curlRow(stage: Stage, target: Running, args: readonly string[], counter: Counter): Row {
  return {
    name: target.name,
    version: target.version,
    async sample() {
      return { ...(await transfer(stage, target, args, counter)), residentBytes: target.residentBytes() };
    },
  };
}

export function downloadArgs(server: string): string[] {
  return ["--output", "/dev/null", `${server}/1g`];
}

/** Without "Expect: 100-continue", which some targets answer themselves and others pass on. */
export function uploadArgs(server: string, file: string): string[] {
  return ["--header", "Expect:", "--upload-file", file, "--output", "/dev/null", `${server}/upload`];
}

/** A hole will do: the target gets the bytes from a socket, into which curl has copied them. */
export function bodyFile(stage: Stage): string {
  const file = path.join(stage.folder, "body");
  const descriptor = openSync(file, "w");
  ftruncateSync(descriptor, FILE_BYTES["1g"]);
  closeSync(descriptor);
  if (statSync(file).size !== GIB) throw new Error("the file to send is not 1 GiB long");
  return file;
}

function urlOf({ port }: Running): string {
  return `http://127.0.0.1:${port}`;
}

/** nginx twice: as it comes, and with buffers as people set them who move large bodies. */
async function startAll(stage: Stage, originPort: number): Promise<Running[]> {
  const started: Running[] = [];
  for (const target of stage.able("reverse")) {
    for (const largeBuffers of target.name === "nginx" ? [false, true] : [false]) {
      const name = largeBuffers ? `${target.name}, large buffers` : target.name;
      const running = await stage.start(target, { originPort, largeBuffers, name });
      if (running !== null) started.push(running);
    }
  }
  return started;
}

function notMoreThanNginx(text: string): readonly Claim[] {
  const claim = { row: "headgate", metric: "cpuMsPerGiB", statistic: "median", atMost: 1 } as const;
  return [
    { text, against: "nginx", ...claim },
    { text: `${text} with large buffers`, against: "nginx, large buffers", ...claim },
  ];
}

export const download: Scenario = {
  name: "download",
  title: "one answer of 1 GiB",
  about: "curl takes it on one connection and throws it away. The origin serves a file from memory.",
  columns: bulkColumns,
  baseline: "nginx",
  rounds: 3,
  claims: notMoreThanNginx("1 GiB down costs at most what it costs nginx"),
  chart: { metric: "cpuMsPerGiB", title: "download of 1 GiB", unit: "ms of CPU per GiB" },
  missing: () => missingCommand("taskset", "nginx", "curl"),
  async prepare(stage) {
    const originPort = await stage.origin({ files: ["1g"] });
    const targets = await startAll(stage, originPort);
    return targets.map((target) => curlRow(stage, target, downloadArgs(urlOf(target)), "size_download"));
  },
};

export const upload: Scenario = {
  name: "upload",
  title: "one request with a body of 1 GiB",
  about:
    "curl sends it on one connection, with its length. A small origin of ours reads it to its end and answers then.",
  columns: bulkColumns,
  baseline: "nginx",
  rounds: 3,
  claims: notMoreThanNginx("1 GiB up costs at most what it costs nginx"),
  missing: () => missingCommand("taskset", "curl"),
  async prepare(stage) {
    const originPort = await freePort();
    await stage.program("origin/body-sink.ts", [originPort]);
    const file = bodyFile(stage);
    const targets = await startAll(stage, originPort);
    return targets.map((target) => curlRow(stage, target, uploadArgs(urlOf(target), file), "size_upload"));
  },
};
