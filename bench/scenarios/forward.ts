/** What a forward proxy costs: requests in absolute form, bytes through CONNECT tunnels, and tunnels for one request. */
import { freePort } from "../../test/support/free-port.ts";
import { missingCommand, type Running, type Stage } from "../stage.ts";
import { bodyFile, downloadArgs, transfer, uploadArgs } from "./bulk.ts";
import { wrkRow } from "./request-cost.ts";
import {
  type Claim,
  type Column,
  costColumns,
  costSample,
  MANY_SHORT_ROUNDS,
  type Row,
  type Scenario,
} from "./scenario.ts";

/** The forward proxies that the project wants to cost less than. Squid is what people have: ratios are to it. */
const PEERS = { squid: "Squid", tinyproxy: "tinyproxy", "proxy-chain": "proxy-chain" } as const;

function lessThanEachPeer(what: string, metric: string): Claim[] {
  return Object.entries(PEERS).map(([against, name]) => ({
    text: `${what} costs less than ${name}'s`,
    row: "headgate",
    against,
    metric,
    statistic: "median",
    atMost: 1,
  }));
}

/** wrk connects to the proxy, and asks it for the origin. */
function absoluteForm(originPort: number): string {
  return `wrk.path = "http://127.0.0.1:${originPort}/"\nwrk.headers["Host"] = "127.0.0.1:${originPort}"\n`;
}

export const forwardHttp: Scenario = {
  name: "forward-http",
  title: "a small answer (26 bytes of JSON) through a forward proxy",
  about:
    "Kept connections, requests in absolute form, all to one origin. tinyproxy keeps no connections, so each of its requests is " +
    "two new ones; it does not say that it closes, so its requests/s say nothing: half of what wrk sends finds a connection that " +
    "is closed. The floor passes the bytes to the one origin that it has, and reads none.",
  columns: costColumns("request", "requests/s"),
  baseline: "squid",
  ...MANY_SHORT_ROUNDS,
  claims: lessThanEachPeer("a request", "cpuUs"),
  chart: { metric: "cpuUs", title: "forward proxy, small answer", unit: "µs of CPU per request" },
  missing: () => missingCommand("taskset", "nginx", "wrk"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const script = stage.writeFile("absolute-form.lua", absoluteForm(originPort));
    const targets = await stage.startAll(stage.able("forward"), { originPort, role: "forward" });
    return targets.map((target) => wrkRow(stage, target, { script, closesSilently: target.name === "tinyproxy" }));
  },
};

interface ShortTunnels {
  readonly tunnels: number;
  readonly seconds: number;
  readonly p99Ms: number;
}

function shortTunnelsRow(stage: Stage, target: Running, originPort: number): Row {
  const { connections, seconds } = stage.options;
  return {
    name: target.name,
    version: target.version,
    async sample() {
      const before = target.cpuSeconds();
      const args = [target.port, connections, seconds, originPort];
      const result = (await stage.loadReport("load/short-tunnels.ts", args, seconds)) as ShortTunnels;
      const used = target.cpuSeconds() - before;
      const { tunnels, seconds: elapsed, p99Ms } = result;
      return { ...costSample(used, tunnels, elapsed, target.residentBytes()), p99Ms };
    },
  };
}

export const connectShort: Scenario = {
  name: "connect-short",
  title: "a CONNECT tunnel for each request",
  about: "Connect, CONNECT, one request of 26 bytes of JSON, close. A tunnel's cost includes its end.",
  columns: [
    ...costColumns("tunnel", "tunnels/s"),
    { title: "p99 ms", metric: "p99Ms", statistic: "median", digits: 1 },
  ],
  baseline: "squid",
  ...MANY_SHORT_ROUNDS,
  claims: [],
  chart: { metric: "cpuUs", title: "CONNECT tunnel for each request", unit: "µs of CPU per tunnel" },
  missing: () => missingCommand("taskset", "nginx"),
  async prepare(stage) {
    const originPort = await stage.origin();
    const targets = await stage.startAll(stage.able("connect"), { originPort, role: "forward" });
    return targets.map((target) => shortTunnelsRow(stage, target, originPort));
  },
};

const transferColumns: readonly Column[] = [
  { title: "CPU/GiB down ms, median", metric: "downMsPerGiB", statistic: "median", digits: 0 },
  { title: "min", metric: "downMsPerGiB", statistic: "min", digits: 0 },
  { title: "ratio", metric: "downMsPerGiB", statistic: "median", digits: 2, ratio: true },
  { title: "CPU/GiB up ms, median", metric: "upMsPerGiB", statistic: "median", digits: 0 },
  { title: "min", metric: "upMsPerGiB", statistic: "min", digits: 0 },
  { title: "ratio", metric: "upMsPerGiB", statistic: "median", digits: 2, ratio: true },
  { title: "MiB", metric: "residentBytes", statistic: "max", digits: 0, per: 1024 ** 2 },
];

export const connect: Scenario = {
  name: "connect",
  title: "1 GiB each way through a CONNECT tunnel",
  about: "As `download` and `upload`: curl takes 1 GiB through one tunnel, and then sends 1 GiB through another.",
  columns: transferColumns,
  baseline: "squid",
  claims: [...lessThanEachPeer("a GiB down", "downMsPerGiB"), ...lessThanEachPeer("a GiB up", "upMsPerGiB")],
  chart: { metric: "downMsPerGiB", title: "1 GiB down a CONNECT tunnel", unit: "ms of CPU per GiB" },
  missing: () => missingCommand("taskset", "nginx", "curl"),
  async prepare(stage) {
    const originPort = await stage.origin({ files: ["1g"] });
    const sinkPort = await freePort();
    await stage.program("origin/body-sink.ts", [sinkPort]);
    const file = bodyFile(stage);
    const targets = await stage.startAll(stage.able("connect"), { originPort, role: "forward" });
    return targets.map((target): Row => {
      // No setting of the machine may let curl pass the proxy by.
      const tunnel = ["--proxytunnel", "--noproxy", "", "--proxy", `http://127.0.0.1:${target.port}`];
      const [origin, sink] = [`http://127.0.0.1:${originPort}`, `http://127.0.0.1:${sinkPort}`];
      return {
        name: target.name,
        version: target.version,
        async sample() {
          const down = await transfer(stage, target, [...tunnel, ...downloadArgs(origin)], "size_download");
          const up = await transfer(stage, target, [...tunnel, ...uploadArgs(sink, file)], "size_upload");
          const { cpuMsPerGiB: downMsPerGiB } = down;
          const { cpuMsPerGiB: upMsPerGiB } = up;
          return { downMsPerGiB, upMsPerGiB, residentBytes: target.residentBytes() };
        },
      };
    });
  },
};
