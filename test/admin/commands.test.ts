// headgate status, reload, drain and stop: what they say and with which status they end, whatever the proxy answers, and
// how they find it.

import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { AdminStage, STATUS, unixAt } from "./admin-stage.ts";
import { CommandRun, type Outcome, run } from "./command-run.ts";

let stage: AdminStage;

beforeEach(async () => {
  stage = await AdminStage.start();
});
afterEach(() => stage[Symbol.dispose]());

const there = (...args: readonly string[]) => run(stage.folder, ...args, "--admin", stage.admin.address);

describe("headgate status", () => {
  test("shows the proxy and its workers", async () => {
    const outcome = { kind: "failed", problems: ["headgate.yaml:1:1: x: unknown field"] } as const;
    stage.control.statusNow = { ...STATUS, lastReload: { at: "2026-01-04T00:00:00.000Z", outcome } };
    const { status, stdout, stderr } = await there("status");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.equal(
      stdout,
      `headgate 1.2.3
state        serving, up for 1 d 2 h
process      4711, admin on ${stage.admin.address}
config       /etc/headgate/headgate.yaml
transport    native, Node 26.10.0
listening    web on http://127.0.0.1:8080
             web on unix:/run/web.sock
last reload  2026-01-04T00:00:00.000Z: failed, the old configuration goes on serving
  headgate.yaml:1:1: x: unknown field

worker  state     connections  upstream  requests  faults  restarts
     1  serving            12         3    345678       0         0
     2  starting            0         0         0       1         2
last fault of worker 2: the heap was full

server                 upstream  connections  requests  failures  bad answers  state
http://10.0.0.1:3000   app                 3    345678         0           17  up
http://10.0.0.2:3000   app                 0         0         7            0  unreachable for 50 s: connection_refused
http://127.0.0.1:9000                      0         0         0            0  up
`,
    );
  });

  test("--json gives all of it", async () => {
    const { status, stdout } = await there("status", "--json");
    assert.deepEqual([status, JSON.parse(stdout)], [0, STATUS]);
  });

  test("gives a terminal no controls", async () => {
    const [worker] = STATUS.workers;
    stage.control.statusNow = { ...STATUS, workers: [{ ...worker!, lastFault: "\x1b]0;x\x07\n\x9b2J" }] };
    const { stdout } = await there("status");
    assert.match(stdout, /\nlast fault of worker 1: \ufffd\]0;x\ufffd\ufffd\ufffd2J\n/);
  });
});

describe("headgate upgrade", () => {
  test("says which process serves, and which one ends", async () => {
    const stdout = "process 4712 serves; process 4711 ends when what is under way has ended\n";
    assert.deepEqual(await there("upgrade"), { status: 0, stdout, stderr: "" });
    assert.deepEqual(stage.control.calls, ["status", "upgrade"]);
  });

  test("says why the other one did not come up, and that this one goes on", async () => {
    const problems = ["headgate.yaml:1:1: x: unknown field"];
    const reason = "process 4712, which was to take the place, ended with status 1";
    stage.control.upgrading = async () => ({ kind: "failed", reason, problems });
    assert.deepEqual(await there("upgrade"), {
      status: 1,
      stdout: "",
      stderr: `${problems[0]}\n${reason}; process 4711 goes on serving\n`,
    });
  });

  test("says why it cannot be", async () => {
    stage.control.upgrading = async () => ({ kind: "refused", reason: "the process is about to end" });
    assert.deepEqual(await there("upgrade"), { status: 1, stdout: "", stderr: "the process is about to end\n" });
  });
});

describe("headgate reload", () => {
  test("says what has changed, and warns", async () => {
    const warnings = ["headgate.yaml:3:1: upstreams.app: no route sends requests here"];
    stage.control.reloading = async () => ({ kind: "loaded", change: "servers changed: web", warnings });
    assert.deepEqual(await there("reload"), {
      status: 0,
      stdout: "loaded again: servers changed: web\n",
      stderr: `warning: ${warnings[0]}\n`,
    });
  });

  test("says what is wrong, a problem a line", async () => {
    const problems = ["headgate.yaml:1:1: x: unknown field", "headgate.yaml:2:1: y: unknown field"];
    stage.control.reloading = async () => ({ kind: "failed", problems });
    assert.deepEqual(await there("reload"), {
      status: 1,
      stdout: "",
      stderr: `${problems.join("\n")}\nthe configuration was not loaded: the old one goes on serving\n`,
    });
  });

  test("says why it makes no sense", async () => {
    stage.control.reloading = async () => ({ kind: "refused", reason: "there is no file to read again" });
    assert.deepEqual(await there("reload"), { status: 1, stdout: "", stderr: "there is no file to read again\n" });
  });
});

describe("headgate drain", () => {
  const BEGUN = "process 4711 accepts nothing new, and ends when what is under way has ended\n";

  test("waits until the process has ended", async () => {
    const drained = Promise.withResolvers<void>();
    stage.control.drain = drained.resolve;
    // Of this process only the connection ends: that is what the command sees of a process.
    const { promise: connected, resolve } = Promise.withResolvers<net.Socket>();
    const front = net.createServer(resolve).listen(path.join(stage.folder, "front"));
    await once(front, "listening");
    const command = new CommandRun(stage.folder, "drain", "--admin", "unix:front");
    const socket = await connected;
    const back = net.connect(stage.socketPath);
    socket.pipe(back).pipe(socket);
    await drained.promise;
    await command.untilStdout(/ended\n$/);
    assert.equal(command.stdout, BEGUN);
    socket.destroy();
    back.destroy();
    front.close();
    assert.equal(await command.ended, 0);
    assert.deepEqual([command.stdout, command.stderr], [`${BEGUN}process 4711 has ended\n`, ""]);
  });

  test("--no-wait returns at once", async () => {
    assert.deepEqual(await there("drain", "--no-wait"), { status: 0, stdout: BEGUN, stderr: "" });
    assert.deepEqual(stage.control.calls, ["status", "drain"]);
  });
});

describe("a proxy is found", () => {
  const isFound = ({ status, stdout, stderr }: Outcome) =>
    assert.match(`${status} ${stderr}${stdout}`, /^0 headgate 1/);

  test("on a port", async () => {
    using other = await AdminStage.start("tcp");
    isFound(await run(other.folder, "status", "--admin", other.admin.address));
  });

  test("by the configuration in the current folder, of which the rest is wrong, and its secret not to be read", async () => {
    const text = "admin: unix:admin.sock\nservers: { a: { listen: nowhere } }\ncolour: { file: secret }\n";
    writeFileSync(path.join(stage.folder, "headgate.yaml"), text);
    isFound(await run(stage.folder, "status"));
  });

  test("by the configuration of --config, whose paths begin at its folder", async () => {
    mkdirSync(path.join(stage.folder, "etc"));
    const file = path.join(stage.folder, "etc", "web.json");
    writeFileSync(file, JSON.stringify({ admin: { listen: "unix:../admin.sock" } }));
    isFound(await run(stage.folder, "status", "--config", path.join("etc", "web.json")));
  });

  test("by a configuration that is a program", async () => {
    const text = `export default { admin: "unix:admin.sock", servers: { a: { listen: ":1", respond: 204 } } };\n`;
    writeFileSync(path.join(stage.folder, "headgate.ts"), text);
    isFound(await run(stage.folder, "status"));
  });

  test("where a proxy without a configuration has its socket", async () => {
    await stage.open(unixAt(path.join(stage.folder, "headgate.sock")));
    isFound(await run(stage.folder, "status"));
    // In another session than the server's: the place that is not the best one.
    using other = new AdminStage();
    const folder = path.join(other.folder, `headgate-${process.getuid!()}`);
    mkdirSync(folder, { mode: 0o700 });
    await other.open(unixAt(path.join(folder, "headgate.sock")));
    const { status, stdout } = await run(other.folder, "status");
    assert.equal(status, 0);
    // As root, /run comes before: a headgate that really runs there answers in its place.
    assert.match(stdout, process.getuid!() === 0 ? /^headgate \d/ : /^headgate 1\.2\.3\n/);
  });
});

describe("a proxy is not found", () => {
  test("where there is none: the addresses that were tried, and how to name another", async () => {
    const { status, stdout, stderr } = await run(stage.folder, "status", "--admin", "unix:none.sock");
    assert.deepEqual([status, stdout], [1, ""]);
    const hint = "does it run, and is this the address of its `admin`?";
    assert.equal(stderr, `no headgate answers on unix:${stage.folder}/none.sock; ${hint}\n`);
    writeFileSync(path.join(stage.folder, "other.yaml"), "admin: unix:other.sock\nservers: {}\n");
    const configured = await run(stage.folder, "status", "--config", "other.yaml");
    assert.match(configured.stderr, /^no headgate answers on unix:.*other\.sock; name its address with --admin\n$/);
  });

  test("where it was killed", async () => {
    const address = stage.admin.address;
    stage.admin.close();
    const { status, stderr } = await run(stage.folder, "drain", "--admin", address);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`^no headgate answers on ${address}; `));
  });

  test("where it is another user's", async () => {
    // Root may open every socket, so to root it is one that somebody else has put there.
    const file = path.join(stage.folder, "headgate.sock");
    await stage.open(unixAt(file));
    if (process.getuid!() === 0) chownSync(file, 4711, 4711);
    else chmodSync(file, 0);
    const { status, stderr } = await run(stage.folder, "stop");
    assert.equal(status, 1);
    assert.equal(stderr, `unix:${file}: permission denied; the user who runs headgate may open it, and root\n`);
    assert.deepEqual(stage.control.calls, []);
  });

  test("when its configuration turns it off", async () => {
    writeFileSync(path.join(stage.folder, "headgate.yaml"), "admin: off\n");
    const { status, stderr } = await run(stage.folder, "status");
    assert.equal(status, 1);
    const file = path.join(stage.folder, "headgate.yaml");
    const reason = `${file} turns its admin interface off; name an address with --admin ADDRESS`;
    assert.equal(stderr, `cannot look for a running headgate: ${reason}\n`);
  });

  test("when the address in its configuration is wrong: the problems of the file", async () => {
    writeFileSync(path.join(stage.folder, "headgate.yaml"), "admin: 0.0.0.0:9000\nservers: {}\n");
    const { status, stderr } = await run(stage.folder, "status");
    assert.equal(status, 1);
    assert.match(stderr, /^headgate\.yaml:1:8: admin: 0\.0\.0\.0:9000 is no address of loopback/);
  });

  test("when the file is not there", async () => {
    assert.deepEqual(await run(stage.folder, "reload", "--config", "gone.yaml"), {
      status: 1,
      stdout: "",
      stderr: "gone.yaml: cannot read the file: there is no such file\n",
    });
  });

  test("when the address is none: status 2", async () => {
    for (const [address, message] of [
      [
        "0.0.0.0:80",
        /^error: option '--admin <address>': 0\.0\.0\.0:80 is no address of .*did you mean "127\.0\.0\.1:80"\?\n$/,
      ],
      ["off", /^error: option '--admin <address>': "off" is no address\n$/],
      ["run", /^error: option '--admin <address>': expected unix:/],
    ] as const) {
      const { status, stderr } = await run(stage.folder, "status", "--admin", address);
      assert.equal(status, 2);
      assert.match(stderr, message);
    }
  });

  test("where somebody else answers", async () => {
    const answers = [
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      "SSH-2.0-x\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    ];
    for (const answer of answers) {
      const server = net.createServer((socket) => socket.on("error", () => {}).end(answer)).listen(0, "127.0.0.1");
      await once(server, "listening");
      const address = `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
      const { status, stderr } = await run(stage.folder, "status", "--admin", address);
      assert.deepEqual([status, stderr], [1, `${address}: what answers there is no headgate\n`]);
      server.close();
    }
  });
});
