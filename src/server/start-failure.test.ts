// A proxy starts as a whole or not at all, and says in one sentence for each problem what the machine lacks, and where in
// the configuration that was asked for.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { issueCertificate } from "../../test/support/certificates.ts";
import { freePort, isRefused } from "../../test/support/free-port.ts";
import { configOf, ProxyUnderTest } from "../../test/support/proxy-under-test.ts";
import { checkSetup } from "./check-setup.ts";
import { listenFailure } from "./listener-errors.ts";
import { SetupError, type SetupProblem } from "./setup-error.ts";

let folder = "";

before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), "headgate-start-"));
});

after(() => rmSync(folder, { recursive: true }));

function file(name: string, text?: string): string {
  const absolute = path.join(folder, name);
  if (text !== undefined) writeFileSync(absolute, text);
  return absolute;
}

async function problemsOf(work: Promise<unknown>): Promise<readonly SetupProblem[]> {
  const error: unknown = await work.then(
    () => assert.fail("it should have failed"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof SetupError, String(error));
  return error.problems;
}

describe("a start that fails", () => {
  test("because a port is taken, listens on none of the others", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const free = await freePort();
    try {
      const servers = {
        web: { listen: `127.0.0.1:${free}`, respond: 204 },
        other: { listen: `127.0.0.1:${port}`, respond: 204 },
      };
      assert.deepEqual(await problemsOf(ProxyUnderTest.start({ servers })), [
        {
          path: ["servers", "other", "listen", 0],
          message: `cannot listen on 127.0.0.1:${port}: the port is already in use`,
        },
      ]);
      assert.ok(await isRefused(free));
    } finally {
      taken.close();
    }
  });

  test("because the folder of the access log is not there", async () => {
    const output = file("no-such-folder/access.log");
    const start = ProxyUnderTest.start({
      log: { access: { output } },
      servers: { web: { listen: "127.0.0.1:0", respond: 204 } },
    });
    assert.deepEqual(await problemsOf(start), [
      { path: ["log", "access", "output"], message: `cannot open the log file ${output}: there is no such folder` },
    ]);
  });

  test("because of files of TLS, tells every one of them with its place", async () => {
    const { cert, key } = issueCertificate({ names: ["a.test"] });
    const good = { cert: file("good.crt", cert), key: file("good.key", key) };
    const stranger = file("stranger.key", issueCertificate({ names: ["b.test"] }).key);
    const missing = file("missing.pem");
    const config = configOf({
      upstreams: { named: { servers: ["https://127.0.0.1:1"], tls: { ca: missing } } },
      servers: {
        web: {
          listen: [
            "127.0.0.1:0",
            { address: "127.0.0.1:1", tls: { certificates: [good, { cert: good.cert, key: stranger }] } },
          ],
          routes: [
            { match: { path: "/a" }, proxy: "named" },
            {
              match: { path: "/b" },
              use: [{ compress: true }, { forwardAuth: { address: "https://127.0.0.1:4/x", tls: { ca: missing } } }],
              proxy: "named",
            },
            { proxy: { to: "https://127.0.0.1:2", tls: { ca: good.key } } },
          ],
        },
        single: { listen: "127.0.0.1:2", proxy: { to: "https://127.0.0.1:3", tls: { cert: missing, key: good.key } } },
      },
    });
    const problems = await problemsOf(checkSetup(config));
    assert.deepEqual(
      problems.map(({ path, message }) => [path.join("."), message.replaceAll(folder, "")]),
      [
        [
          "servers.web.listen.1.tls.certificates.1.key",
          "/stranger.key: the key does not belong to the certificate in /good.crt",
        ],
        ["upstreams.named.tls.ca", "/missing.pem: cannot be read: there is no such file"],
        ["servers.web.routes.1.use.1.forwardAuth.tls.ca", "/missing.pem: cannot be read: there is no such file"],
        ["servers.web.routes.2.proxy.tls.ca", "/good.key: no certificate is in this file: it holds a private key"],
        ["servers.single.proxy.tls.cert", "/missing.pem: cannot be read: there is no such file"],
      ],
    );
  });
});

describe("an address that cannot be listened on", () => {
  const failed = (code: string, message = "words of the transport") => Object.assign(new Error(message), { code });

  test("below 1024 without the privilege: says what to do", () => {
    assert.equal(
      listenFailure({ text: ":80", address: { kind: "tcp", host: null, port: 80 } }, failed("EACCES")),
      "cannot listen on :80: permission denied; take a port above 1023, run as root, " +
        "or give the service the capability CAP_NET_BIND_SERVICE",
    );
  });

  test("in use: a port, a socket", () => {
    const port = listenFailure(
      { text: "[::1]:8080", address: { kind: "tcp", host: "::1", port: 8080 } },
      failed("EADDRINUSE"),
    );
    assert.equal(port, "cannot listen on [::1]:8080: the port is already in use");
    const socket = listenFailure(
      { text: "unix:/run/x.sock", address: { kind: "unix", path: "/run/x.sock" } },
      failed("EADDRINUSE"),
    );
    assert.equal(socket, "cannot listen on unix:/run/x.sock: the socket is already in use");
  });

  test("for any other reason: the transport's words", () => {
    const listen = { text: "192.0.2.1:80", address: { kind: "tcp", host: "192.0.2.1", port: 80 } } as const;
    const whole = "cannot listen on 192.0.2.1:80: this machine has no such address (EADDRNOTAVAIL)";
    assert.equal(listenFailure(listen, failed("EADDRNOTAVAIL", whole)), whole);
    assert.equal(listenFailure(listen, failed("EX", "odd")), "cannot listen on 192.0.2.1:80: odd");
  });
});
