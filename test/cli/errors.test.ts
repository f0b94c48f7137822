// What a person reads when something is wrong: one line for each problem, with its place, and the status of the process.

import assert from "node:assert/strict";
import { readFileSync, statfsSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { openCacheBooks } from "../../src/io/cache/open.ts";
import { issueCertificate } from "../support/certificates.ts";
import { repositoryRoot } from "../support/program.ts";
import { Folder, headgate, headgateWith } from "./headgate.ts";

/** Runs in a folder that has this headgate.yaml. */
function withConfig(yaml: string, ...args: readonly string[]) {
  using folder = new Folder();
  folder.file("headgate.yaml", yaml);
  return headgate(folder.path, ...args);
}

test("an older Node: which one is needed", () => {
  const { engines } = JSON.parse(readFileSync(path.join(repositoryRoot, "package.json"), "utf8"));
  const [major, minor] = engines.node.replace(">=", "").split(".").map(Number) as [number, number];
  using folder = new Folder();
  for (const [version, isEnough] of [
    [`${major - 2}.${minor + 9}.9`, false],
    [`${major}.${minor - 1}.9`, false],
    [`${major}.${minor}.0`, true],
    [`${major + 2}.0.0`, true],
  ] as const) {
    const said = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`;
    const NODE_OPTIONS = `--import "data:text/javascript,${encodeURIComponent(said)}"`;
    const { status, stderr } = headgateWith({ NODE_OPTIONS }, folder.path, "--version");
    const line = / needs Node.js (\S+) or later; this is (\S+)\n$/.exec(stderr);
    assert.deepEqual(line?.slice(1) ?? null, isEnough ? null : [`${major}.${minor}`, version], stderr);
    assert.equal(status, isEnough ? 0 : 1);
  }
});

test("a configuration by its name, with --config or without it, but once", () => {
  using folder = new Folder();
  folder.file("other.yaml", "servers: { web: { listen: 127.0.0.1:0, proxi: http://127.0.0.1:3000 } }\n");
  for (const command of ["run", "check"]) {
    for (const named of [["other.yaml"], ["--config", "other.yaml"]]) {
      const { status, stderr } = headgate(folder.path, command, ...named);
      assert.match(stderr, /^other\.yaml:1:40: servers\.web\.proxi: unknown field; did you mean "proxy"\?\n/);
      assert.equal(status, 1);
    }
    const { status, stderr } = headgate(folder.path, command, "one.yaml", "--config", "other.yaml");
    assert.equal(stderr, "error: the file is named twice: one.yaml and --config other.yaml\n");
    assert.equal(status, 2);
  }
});

describe("a configuration that is wrong", () => {
  test("an unknown field: the place and the nearest name", () => {
    const yaml = "servers:\n  web:\n    lisen: :8080\n    proxy: http://127.0.0.1:3000\n";
    for (const command of ["run", "check"]) {
      const { status, stdout, stderr } = withConfig(yaml, command);
      assert.equal(stderr, 'headgate.yaml:3:5: servers.web.lisen: unknown field; did you mean "listen"?\n');
      assert.deepEqual([status, stdout], [1, ""]);
    }
  });

  test("several problems: a line for each", () => {
    const yaml = "servers:\n  web:\n    listen: 8080\n    proxy: http://127.0.0.1:3000/path\nlog: { level: loud }\n";
    const { status, stderr } = withConfig(yaml, "check");
    assert.equal(status, 1);
    assert.deepEqual(
      stderr.split("\n").map((line) => line.split(": ").slice(0, 2).join(": ")),
      [
        "headgate.yaml:3:13: servers.web.listen",
        "headgate.yaml:4:12: servers.web.proxy",
        "headgate.yaml:5:15: log.level",
        "",
      ],
    );
  });

  test("no file: the names that were looked for", () => {
    using folder = new Folder();
    const { status, stderr } = headgate(folder.path, "run");
    const names = "headgate.yaml, headgate.yml, headgate.json or headgate.ts";
    assert.equal(stderr, `no configuration in ${folder.path}: there is no ${names}; name one with --config FILE\n`);
    assert.equal(status, 1);
  });

  test("a file that is not there; with a stack for who wants one", () => {
    using folder = new Folder();
    const args = ["run", "--config", "missing.yaml"];
    const { status, stderr } = headgate(folder.path, ...args);
    assert.equal(stderr, "missing.yaml: cannot read the file: there is no such file\n");
    assert.equal(status, 1);
    const debugged = headgateWith({ HEADGATE_DEBUG: "1" }, folder.path, ...args);
    assert.ok(debugged.stderr.startsWith(stderr));
    assert.match(debugged.stderr, /\n\s+at /);
  });

  test("a program that throws: the place in it, and no stack", () => {
    using folder = new Folder();
    folder.file("headgate.ts", "const value: null = null;\nthrow new TypeError('no ' + value);\n");
    const { status, stderr } = headgate(folder.path, "check");
    assert.equal(stderr, "headgate.ts:2:7: cannot be imported: TypeError: no null\n");
    assert.equal(status, 1);
  });
});

describe("a machine that cannot give what is asked for", () => {
  test("a key that cannot be read, and one that belongs to another certificate", () => {
    using folder = new Folder();
    const { cert } = issueCertificate({ names: ["a.test"] });
    const { key } = issueCertificate({ names: ["b.test"] });
    folder.file("a.crt", cert);
    const listen = 'listen: { address: "127.0.0.1:0", tls: { certificates: [{ cert: a.crt, key: a.key }] } }';
    folder.file("headgate.yaml", `servers:\n  web:\n    ${listen}\n    respond: 204\n`);
    const place = "headgate.yaml:3:81: servers.web.listen.tls.certificates[0].key";
    for (const command of ["run", "check"]) {
      const { status, stderr } = headgate(folder.path, command);
      assert.equal(stderr, `${place}: ${folder.file("a.key")}: cannot be read: there is no such file\n`);
      assert.equal(status, 1);
    }
    folder.file("a.key", key);
    const { stderr } = headgate(folder.path, "check");
    const certificate = folder.file("a.crt");
    assert.equal(
      stderr,
      `${place}: ${folder.file("a.key")}: the key does not belong to the certificate in ${certificate}\n`,
    );
  });

  test("a folder that cannot be a cache's: the same from `check` as from `run`", () => {
    using folder = new Folder();
    folder.file("notes.txt", "mine");
    const from = (directory: string) => {
      const server = "servers: { web: { listen: 127.0.0.1:0, use: [{ cache: true }], respond: 204 } }";
      folder.file("headgate.yaml", `caches: { pages: { directory: ${directory}, minFree: 0 } }\n${server}\n`);
      const [run, check] = ["run", "check"].map((command) => headgate(folder.path, command));
      assert.deepEqual([run!.status, check!.status, run!.stderr], [1, 1, check!.stderr]);
      return check!.stderr.replaceAll(folder.path, "HERE");
    };
    const place = "headgate.yaml:1:31: caches.pages.directory: cannot open the cache pages in";
    assert.equal(from("notes.txt"), `${place} HERE/notes.txt: a part of the path is no folder\n`);
    assert.equal(from("notes.txt/x"), `${place} HERE/notes.txt/x: a part of the path is no folder\n`);
    assert.equal(
      from("."),
      `${place} HERE: HERE has files in it that are not a cache's: a cache wants a folder of its own\n`,
    );
  });

  test("a cache's folder that another process has is told of: a reload of that one is none", async () => {
    using folder = new Folder();
    const books = openCacheBooks(folder.file("pages"));
    try {
      const server = "servers: { web: { listen: 127.0.0.1:0, use: [{ cache: true }], respond: 204 } }";
      folder.file("headgate.yaml", `caches: { pages: { directory: pages, minFree: 0 } }\n${server}\n`);
      const { status, stderr } = headgate(folder.path, "check");
      const it = `cache pages: process ${process.pid} has ${folder.file("pages")}`;
      assert.equal(stderr, `warning: ${it}: it can be told to reload, but no other can start beside it\n`);
      assert.equal(status, 0);
    } finally {
      await books.close();
    }
    assert.equal(headgate(folder.path, "check").stderr, "");
  });

  test("a disk without the room that is to stay free is told of", () => {
    using folder = new Folder();
    const { bavail, blocks, bsize } = statfsSync(folder.path);
    // A size between what is free and what there is; one that is all free leaves nothing to tell.
    const minFree = Math.floor((bavail + blocks) / 2) * bsize;
    const server = "servers: { web: { listen: 127.0.0.1:0, use: [{ cache: true }], respond: 204 } }";
    folder.file(
      "headgate.yaml",
      `caches: { pages: { directory: pages, size: 1MiB, minFree: ${minFree} } }\n${server}\n`,
    );
    const { stderr } = headgate(folder.path, "check");
    const said =
      /^warning: cache pages: \d+[GM]iB of the file system of .* are free, less than minFree \(\d+[GMK]iB\): until /;
    assert.match(stderr, said);
  });

  test("more memory than the machine has is told of", () => {
    using folder = new Folder();
    const server = "servers: { web: { listen: 127.0.0.1:0, use: [{ cache: true }], respond: 204 } }";
    const cache = "{ directory: pages, size: 1024TiB, minFree: 0, memory: 16GiB }";
    folder.file("headgate.yaml", `workers: 256\ncaches: { pages: ${cache} }\n${server}\n`);
    const { stderr } = headgate(folder.path, "check");
    assert.match(
      stderr,
      /^warning: cache pages: memory 16GiB for each of 256 workers is more than this machine has \(/m,
    );
  });

  test("a program's configuration: the field, without a line", async () => {
    using folder = new Folder();
    folder.file(
      "headgate.ts",
      'export default { servers: { web: { listen: "127.0.0.1:0", proxy: { to: "https://127.0.0.1:1", tls: { ca: "x.pem" } } } } };\n',
    );
    const { status, stderr } = headgate(folder.path, "check");
    assert.equal(
      stderr,
      `headgate.ts: servers.web.proxy.tls.ca: ${folder.file("x.pem")}: cannot be read: there is no such file\n`,
    );
    assert.equal(status, 1);
  });
});

describe("a command line that is wrong", () => {
  const cases: readonly (readonly [args: readonly string[], stderr: string])[] = [
    [["rnu"], "error: unknown command 'rnu'\n(Did you mean run?)\n"],
    [["run", "--wach"], "error: unknown option '--wach'\n(Did you mean --watch?)\n"],
    [["proxy", "--listen", ":1"], "error: required option '--to <url>' not specified\n"],
    [
      ["proxy", "--listen", "8008", "--to", "http://127.0.0.1:3000"],
      'error: --listen: expected an address such as :8080, 127.0.0.1:8080 or unix:/run/web.sock, got "8008"; did you mean ":8008"?\n',
    ],
    [
      ["proxy", "--listen", ":1", "--to", "127.0.0.1:3000", "--path", "up"],
      'error: --path: expected a path such as /up or /jmap/*, got "up"; did you mean "/up"?\n' +
        'error: --to: no upstream has the name "127.0.0.1:3000"; did you mean "http://127.0.0.1:3000"?\n',
    ],
    [["explain", "get", "/"], "error: the method is written in upper case: GET\n"],
    [["explain", "GET", "ftp://a/"], 'error: "ftp://a/" is neither an http or ws URL nor a path\n'],
    [["explain", "GET", "/", "--header", "x"], "error: option '--header <field>': expected 'Name: value', got \"x\"\n"],
    [["explain", "GET", "/", "--client", "a"], "error: option '--client <ip>': \"a\" is no IP address\n"],
  ];

  for (const [args, expected] of cases) {
    test(args.join(" "), () => {
      using folder = new Folder();
      const { status, stdout, stderr } = headgate(folder.path, ...args);
      assert.equal(stderr, expected);
      assert.deepEqual([status, stdout], [2, ""]);
    });
  }
});
