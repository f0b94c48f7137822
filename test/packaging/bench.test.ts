// The bench: one scenario runs and leaves a table, JSON and a chart behind; nothing that it started outlives it; what load
// programs print is read rightly, and a run with failures in it is none.

import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Duplex } from "node:stream";
import { after, describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { allowedCpus, CpuClock } from "../../bench/measure/cpu.ts";
import { parseH2load } from "../../bench/measure/h2load.ts";
import { parseWrk } from "../../bench/measure/wrk.ts";
import { Child, familyOf } from "../../bench/processes/children.ts";
import { judge, type Report } from "../../bench/report/result.ts";
import { medianEstimate, percentile, statistic } from "../../bench/report/statistics.ts";
import { chart } from "../../bench/report/svg.ts";
import { section } from "../../bench/report/table.ts";
import { SCENARIOS } from "../../bench/scenarios/index.ts";
import { missingCommand } from "../../bench/stage.ts";
import { TARGETS } from "../../bench/targets/index.ts";
import { Program } from "../support/program.ts";

const missing = allowedCpus().length < 2 ? "needs two processors" : missingCommand("nginx", "wrk", "taskset");
const skip = missing !== null && `skipped: ${missing}`;

const folder = mkdtempSync(path.join(tmpdir(), "headgate-bench-test-"));
after(() => rmSync(folder, { recursive: true }));

/** Throws unless every element is closed by its own name; attributes are quoted and free of "<". */
function assertWellFormed(xml: string): void {
  const open: string[] = [];
  let end = 0;
  for (const match of xml.matchAll(/<(\/?)([a-z]+)((?: [\w:-]+="[^"<]*")*)(\/?)>/g)) {
    const [whole, closing, name, , empty] = match;
    assert.doesNotMatch(xml.slice(end, match.index), /[<]|&(?!amp;|lt;|gt;|quot;)/);
    end = match.index + whole.length;
    if (closing === "/") assert.equal(open.pop(), name);
    else if (empty === "") open.push(name!);
  }
  assert.deepEqual(open, []);
  assert.equal(xml.slice(end).trim(), "");
}

describe("a quick run", { skip }, () => {
  test("of one scenario leaves a table, JSON and a chart", async () => {
    const startedMs = Date.now();
    const out = path.join(folder, "quick");
    const only = ["--only", "nginx,headgate-net"];
    await using bench = Program.node("bench/main.ts", ["small", "--quick", ...only, "--out", out]);
    assert.equal(await bench.exit(), 0, bench.output);
    assert.match(bench.output, /^\| nginx [\d.]+ \| +[\d.]+ \| +[\d.]+ \| 1\.00 \| 1\.00 \|/m);
    assert.match(bench.output, /^\| headgate-net [\d.]+ \| [\d.]+ \|/m);

    const report = JSON.parse(readFileSync(path.join(out, "bench.json"), "utf8")) as Report;
    assert.equal(report.machine.node, process.version);
    const { rows, leftOut, rounds, seconds, date } = report.scenarios.small!;
    assert.deepEqual([rounds, seconds, leftOut], [1, 1, []]);
    assert.ok(Date.parse(date) >= startedMs && Date.parse(date) <= Date.now(), date);
    assert.deepEqual(
      rows.map(({ name }) => name),
      ["nginx", "headgate-net"],
    );
    for (const { name, samples } of rows) {
      assert.equal(samples.length, 1);
      const { cpuUs, perSecond, residentBytes } = samples[0]!;
      assert.ok(cpuUs! > 1 && cpuUs! < 10_000, `${name}: ${cpuUs} us of CPU per request`);
      assert.ok(perSecond! > 10, `${name}: ${perSecond} requests/s`);
      assert.ok(residentBytes! > 1024 ** 2, `${name}: ${residentBytes} bytes`);
    }
    const svg = readFileSync(path.join(out, "bench.svg"), "utf8");
    assertWellFormed(svg);
    assert.match(svg, />headgate-net</);
  });

  test("that is interrupted ends all that it started", async () => {
    const only = ["--only", "nginx,headgate-net"];
    const args = ["small", "--rounds", "1", "--seconds", "20", ...only, "--out", path.join(folder, "cut")];
    await using bench = Program.node("bench/main.ts", args);
    await bench.until(/warming up/);
    const started = familyOf(bench.pid).filter((pid) => pid !== bench.pid);
    const commands = started.map((pid) => readFileSync(`/proc/${pid}/cmdline`, "latin1")).join("\n");
    const folderOfRun = /(?:\/[\w.-]+)+\/headgate-bench-\w+(?=\/)/.exec(commands)?.[0] ?? "";
    const stood = existsSync(folderOfRun);
    assert.equal(await bench.stop("SIGINT"), 130, bench.output);
    assert.ok(started.length >= 4, `only ${started.length} processes`);
    assert.ok(stood, `not found in ${commands}`);
    assert.deepEqual(
      started.filter((pid) => existsSync(`/proc/${pid}`)),
      [],
    );
    assert.equal(existsSync(folderOfRun), false);
    assert.equal(existsSync(path.join(folder, "cut")), false);
  });
});

describe("the command line", () => {
  test("refuses a place for its results that it cannot write, before it measures", async () => {
    const file = path.join(folder, "file");
    writeFileSync(file, "");
    await using bench = Program.node("bench/main.ts", ["small", "--out", path.join(file, "results")]);
    assert.equal(await bench.exit(), 2);
    assert.match(bench.output, /^bench: --out \S+\/file\/results: ENOTDIR/);
  });

  test("lists every scenario and every target", async () => {
    await using bench = Program.node("bench/main.ts", ["--list"]);
    assert.equal(await bench.exit(), 0);
    for (const { name } of [...SCENARIOS, ...TARGETS]) assert.match(bench.output, new RegExp(`^  ${name} `, "m"));
  });

  test("says what it takes", async () => {
    await using bench = Program.node("bench/main.ts", ["--help"]);
    assert.equal(await bench.exit(), 0);
    for (const [option] of readFileSync("bench/README.md", "utf8").matchAll(/(?<=^\| `)--\w+/gm)) {
      assert.ok(bench.output.includes(`  ${option} `), option);
    }
  });

  for (const [args, complaint] of [
    [["smal"], /no scenario is called smal; there are: small, /],
    [["small", "--only", "nginx,apache"], /no target is called apache; there are: nginx, /],
    [["small", "--rounds", "0"], /--rounds takes a whole number from 1, not 0/],
    [["--fast"], /Unknown option '--fast'/],
    [
      ["--report", "--out", path.join(folder, "none")],
      /there is no \S+\/none\/bench\.json: nothing was measured there/,
    ],
  ] as const) {
    test(`refuses ${args.join(" ").replace(folder, "FOLDER")}`, async () => {
      await using bench = Program.node("bench/main.ts", args);
      assert.equal(await bench.exit(), 2);
      assert.match(bench.output, complaint);
    });
  }
});

test("a target that was killed is known to have ended, and what it had started ends with it", {
  timeout: 20_000,
}, async () => {
  const child = new Child(["sh", "-c", "sleep 1000 & echo $!; wait"], { cpus: allowedCpus().join() });
  while (child.stdout === "") await once(child.process.stdout!, "data");
  child.process.kill("SIGKILL");
  // Not before its output is closed, which the second one holds open for as long as it lives.
  await child.exited;
  assert.equal(child.process.signalCode, "SIGKILL");
});

test("the CPU time of a process includes its threads that have ended", async () => {
  const clock = new CpuClock();
  const before = clock.seconds([process.pid]);
  const spin = "const now = process.cpuUsage().user; while (process.cpuUsage().user < now + 200_000) {}";
  await once(new Worker(spin, { eval: true }), "exit");
  const used = clock.seconds([process.pid]) - before;
  assert.ok(used > 0.15 && used < 5, `${used} s`);
});

describe("the load of short tunnels", () => {
  const load = "bench/load/short-tunnels.ts";

  /** A forward proxy of a few lines, which answers CONNECT with the status. */
  async function startProxy(status: string) {
    let tunnels = 0;
    const origin = http.createServer((_, response) => response.end("hello"));
    const proxy = http.createServer().on("connect", ({ url = "" }: http.IncomingMessage, client: Duplex) => {
      tunnels++;
      const upstream = net.connect(Number(url.split(":")[1]), "127.0.0.1", () => {
        client.write(`HTTP/1.0 ${status}\r\n\r\n`);
        client.pipe(upstream).pipe(client);
      });
      // A client that gives up resets its tunnel.
      client.on("error", () => upstream.destroy());
      upstream.on("error", () => client.destroy());
    });
    for (const server of [origin, proxy]) await once(server.listen(0, "127.0.0.1"), "listening");
    const [originPort, port] = [origin, proxy].map((server) => (server.address() as net.AddressInfo).port);
    const close = () => {
      for (const server of [origin, proxy]) server.close();
    };
    return { args: [String(port), "4", "0.2", String(originPort)], tunnels: () => tunnels, close };
  }

  test("counts every tunnel that was answered and closed", async () => {
    const proxy = await startProxy("200 OK");
    await using program = Program.node(load, proxy.args);
    assert.equal(await program.exit(), 0, program.output);
    const report = JSON.parse(program.output) as { tunnels: number; seconds: number };
    assert.ok(report.tunnels >= 4);
    assert.equal(report.tunnels, proxy.tunnels());
    assert.ok(report.seconds >= 0.2);
    proxy.close();
  });

  test("is none when a tunnel is refused", async () => {
    const proxy = await startProxy("403 Forbidden");
    await using program = Program.node(load, proxy.args);
    assert.equal(await program.exit(), 1);
    assert.match(program.output, /no tunnel: HTTP\/1\.0 403 Forbidden/);
    proxy.close();
  });
});

describe("what load programs print", () => {
  const wrkOutput = `Running 1s test @ http://127.0.0.1:9/
    Latency   281.78us  346.80us   5.83ms   95.50%
    Req/Sec    18.63k     3.88k   22.01k    72.99%
  Latency Distribution
     50%  208.00us
     75%  334.00us
     99%    2.03ms
  20358 requests in 1.10s, 3.28MB read
Requests/sec:  18521.11
Transfer/sec:      2.99MB
`;

  test("wrk: counts, and times in one unit", () => {
    assert.deepEqual(parseWrk(wrkOutput), {
      requests: 20358,
      bytes: 3.28 * 2 ** 20,
      requestsPerSecond: 18521.11,
      p50Ms: 0.208,
      p99Ms: 2.03,
    });
  });

  test("wrk: where a target closes without saying so, connections found closed are no failures, and others are", () => {
    const closed = `  Socket errors: connect 0, read 3, write 1, timeout 0\n${wrkOutput}`;
    assert.throws(() => parseWrk(closed), /read 3/);
    assert.equal(parseWrk(closed, true).requests, 20358);
    assert.throws(() => parseWrk(closed.replace("timeout 0", "timeout 2"), true), /timeout 2/);
    assert.throws(() => parseWrk(closed.replace("connect 0", "connect 1"), true), /connect 1/);
    assert.throws(() => parseWrk(`${closed}  Non-2xx or 3xx responses: 3\n`, true), /Non-2xx or 3xx responses: 3/);
  });

  test("wrk: a run with failures or without answers is refused", () => {
    assert.throws(() => parseWrk(`${wrkOutput}  Non-2xx or 3xx responses: 3\n`), /Non-2xx or 3xx responses: 3/);
    assert.throws(() => parseWrk(`  Socket errors: connect 0, read 3, write 0, timeout 0\n${wrkOutput}`), /read 3/);
    assert.throws(() => parseWrk("  0 requests in 1.00s, 0.00B read\n"), /no request was answered/);
  });

  const h2loadOutput = "requests: 4 total, 4 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout\n";

  test("h2load: percentiles and the whole time come from its file of requests", () => {
    const log = "1000000\t200\t1000\n1000500\t200\t2000\n1001000\t204\t3000\n1002000\t200\t8000\n";
    assert.deepEqual(parseH2load(h2loadOutput, log), {
      requests: 4,
      requestsPerSecond: 400,
      p50Ms: 2,
      p99Ms: 8,
      finishedMs: 10,
    });
  });

  test("h2load: a run with failures is refused", () => {
    assert.throws(() => parseH2load(h2loadOutput, "1000000\t502\t1000\n"), /status 502/);
    assert.throws(() => parseH2load(h2loadOutput.replace("0 errored", "1 errored"), "1\t200\t1\n"), /a request failed/);
  });
});

describe("the report", () => {
  const small = SCENARIOS.find(({ name }) => name === "small")!;
  const row = (name: string, ...costs: number[]) => ({
    name,
    version: "1.0",
    samples: costs.map((cpuUs) => ({ cpuUs, perSecond: 1e6 / cpuUs, residentBytes: 1024 ** 2 })),
  });
  const rows = [row("nginx", 12, 10, 11), row("headgate", 8, 9.9, 9), row("a<b>&c", 900)];
  const result = {
    name: "small",
    title: "a title",
    date: "2026-01-02T03:04:05.000Z",
    commit: "abc",
    rounds: 3,
    seconds: 2,
    connections: 64,
    rows,
    leftOut: [{ name: "caddy", reason: "not installed: apt-get install caddy" }],
    notes: [],
    claims: small.claims.map((claim) => judge(claim, rows)),
  };

  test("a ratio is the median of those in each round, with its interval by ranks", () => {
    // The machine became slower and slower; the ratio did not.
    const drifting = Array.from({ length: 25 }, (_, round) => 10 + round);
    const base = row("nginx", ...drifting);
    const own = row("headgate", ...drifting.map((cost, round) => cost * (0.8 + 0.002 * ((round * 7) % 25))));
    const claim = { text: "x", row: "headgate", against: "nginx", metric: "cpuUs", statistic: "median" } as const;
    const { value, low, high } = judge({ ...claim, atMost: 1 }, [base, own]);
    assert.deepEqual(
      [value, low, high].map((number) => number?.toFixed(3)),
      ["0.824", "0.814", "0.834"],
    );
  });

  test("few values have no interval but all that was measured", () => {
    assert.deepEqual(medianEstimate([3, 1, 2]), { value: 2, low: 1, high: 3 });
    assert.deepEqual(medianEstimate([5]), { value: 5, low: 5, high: 5 });
  });

  test("the median of an even number of rounds flatters nobody", () => {
    assert.equal(statistic([4, 1, 3, 2], "median"), 2.5);
    assert.deepEqual(medianEstimate([0.8, 1]), { value: 0.9, low: 0.8, high: 1 });
  });

  test("other statistics are values that were measured", () => {
    assert.equal(percentile([4, 1, 3, 2], 0.5), 2);
    assert.equal(percentile([4, 1, 3, 2], 0.99), 4);
    assert.deepEqual(
      [statistic([3, 1, 2], "min"), statistic([3, 1, 2], "median"), statistic([3, 1, 2], "max")],
      [1, 2, 3],
    );
  });

  test("a table has a line a target, ratios to nginx, claims, and what is not there", () => {
    const text = section(small, result);
    assert.match(text, /^\| nginx 1\.0 \| 11\.0 \| 10\.0 \| 1\.00 \| 1\.00 \| 90909 \| 1 \|$/m);
    assert.match(text, /^\| headgate 1\.0 \| 9\.0 \| 8\.0 \| 0\.82 \| 0\.80 \| 111111 \| 1 \|$/m);
    assert.match(text, /^- holds: at most 0\.90 of nginx \(0\.818, all 3 rounds: 0\.667 to 0\.990; at most 0\.9\)$/m);
    assert.match(section(small, { ...result, rounds: 25 }), /\(0\.818, 95 %: 0\.667 to 0\.990; at most 0\.9\)$/m);
    assert.match(text, /^- not measured: at most 0\.95 of HAProxy$/m);
    assert.match(text, /Not here: caddy \(not installed: apt-get install caddy\)\./);
  });

  test("a claim that does not hold is said so, whichever way it is bound", () => {
    const claim = { text: "x", row: "headgate", against: "nginx", metric: "cpuUs", statistic: "median" } as const;
    assert.equal(judge({ ...claim, atMost: 0.8 }, rows).holds, false);
    assert.equal(judge({ ...claim, atLeast: 0.8 }, rows).holds, true);
    assert.equal(judge({ ...claim, atLeast: 0.9 }, rows).holds, false);
  });

  test("the chart is well formed, whatever a target is called, and empty without numbers", () => {
    const machine = { processor: 'A "B" <C> & D', processors: 2, memoryGiB: 8, kernel: "Linux", node: "v26.0.0" };
    const svg = chart({ machine, scenarios: { small: result } }, SCENARIOS);
    assertWellFormed(svg);
    assert.match(svg, />a&lt;b&gt;&amp;c</);
    assert.match(svg, />9\.00 {2}\(0\.82\)</);
    assertWellFormed(chart({ machine, scenarios: {} }, SCENARIOS));
  });
});
