// The commands that look and tell: check, schema, --version, --help; and a program with the proxy in it, which says
// nothing that it was not asked for.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { configJsonSchema } from "../../src/config/json-schema.ts";
import { issueCertificate } from "../support/certificates.ts";
import { internalAuthority } from "../support/interception-stage.ts";
import { Folder, headgate, Running } from "./headgate.ts";

const root = path.join(import.meta.dirname, "..", "..");

describe("headgate check", () => {
  test("says that a file is right, and warns of what is hardly meant", () => {
    using folder = new Folder();
    const day = 86_400_000;
    const { cert, key } = issueCertificate({ names: ["a.test"], notAfter: new Date(Date.now() + day) });
    folder.file("a.crt", cert);
    folder.file("a.key", key);
    folder.file(
      "headgate.yaml",
      `servers:
  web:
    listen: { address: ":8443", tls: { certificates: [{ cert: a.crt, key: a.key }] } }
    routes: [{ respond: 204 }, { match: { path: /x }, respond: 200 }]
`,
    );
    const { status, stdout, stderr } = headgate(folder.path, "check");
    assert.deepEqual([status, stdout], [0, "headgate.yaml: ok, 1 server with 2 routes\n"]);
    const [first, second, ...rest] = stderr.split("\n");
    assert.match(first ?? "", /^warning: headgate\.yaml:4:32: servers\.web\.routes\[1\]: never reached: /);
    assert.match(second ?? "", /^warning: .*a\.crt: the certificate expires on /);
    assert.deepEqual(rest, [""]);
  });

  test("takes the name of the file", () => {
    using folder = new Folder();
    folder.file("other.json", '{ "servers": { "web": { "listen": ":1", "respond": 204 } } }');
    const { status, stdout, stderr } = headgate(folder.path, "check", "other.json");
    assert.deepEqual([status, stdout, stderr], [0, "other.json: ok, 1 server with 1 route\n", ""]);
  });
});

test("whose HTTPS is opened, and with which CA, is said by check and at every start", async () => {
  const { folder: authority } = await internalAuthority();
  using _authority = authority;
  using folder = new Folder();
  const intercept = `{ hosts: "*", except: [bank.example], ca: "${authority.path}" }`;
  folder.file(
    "headgate.yaml",
    `servers: { egress: { listen: "127.0.0.1:0", forward: { intercept: ${intercept} } } }\nworkers: 1\n`,
  );
  const line = `egress opens the HTTPS of all hosts, but not of bank.example, with the CA in ${authority.path}`;
  const { status, stdout } = headgate(folder.path, "check");
  assert.deepEqual([status, stdout], [0, `headgate.yaml: ok, 1 server with a forward proxy\n${line}\n`]);
  await using running = await Running.start(folder.path, "run");
  await running.untilLogged(/^egress opens /);
  assert.equal(running.entries.at(-1)?.msg, line);
});

describe("headgate", () => {
  test("schema prints the JSON Schema of the configuration", () => {
    const { status, stdout } = headgate(root, "schema");
    assert.equal(status, 0);
    assert.deepEqual(JSON.parse(stdout), JSON.parse(JSON.stringify(configJsonSchema())));
  });

  test("--version is the package's", () => {
    const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
    const { status, stdout, stderr } = headgate(root, "--version");
    assert.deepEqual([status, stdout, stderr], [0, `${version}\n`, ""]);
  });

  test("--help shows the commands, and lines to paste", () => {
    const { status, stdout } = headgate(root, "--help");
    assert.equal(status, 0);
    for (const command of ["run", "proxy", "check", "schema", "explain"]) {
      assert.match(stdout, new RegExp(`^  ${command} `, "m"));
    }
    assert.match(
      stdout,
      /^ {2}headgate proxy --listen :8008 --to http:\/\/127\.0\.0\.1:3000 --path \/up --websocket$/m,
    );
  });
});

describe("a program with the proxy in it", () => {
  function output(log: string): string {
    const index = pathToFileURL(path.join(root, "src", "index.ts")).href;
    const program = `
      import { createProxy } from ${JSON.stringify(index)};
      const proxy = createProxy({ ${log} listen: "127.0.0.1:0", respond: 204 });
      const [main] = await proxy.listen();
      await (await fetch("http://127.0.0.1:" + main.address.port + "/path")).text();
      await proxy.close();
    `;
    const args = ["--input-type=module", "--eval", program];
    return execFileSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  }

  test("ends by itself, and says nothing", () => assert.equal(output(""), ""));

  test("logs what it was asked to", () => {
    assert.equal(output('log: { access: { format: "{path} {status}" } },'), "/path 204\n");
  });
});
