/** Where admin may listen, what is said of other addresses, and where its socket is looked for. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { adminSocketPlaces } from "./admin-address.ts";
import type { AdminConfig } from "./config.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const WEB = 'servers: { web: { listen: ":8080", respond: 204 } }\n';
const files = {
  resolvePath: (path: string) => `/etc/headgate/${path}`,
  readSecret: () => "",
  readSecretBytes: () => Buffer.alloc(0),
};
const parse = (line: string) => parseConfig(`${line}\n${WEB}`, { file: "headgate.yaml", files });

describe("admin", () => {
  const tcp = (host: string): AdminConfig => ({ kind: "listen", address: { kind: "tcp", host, port: 9000 } });
  const meanings: readonly [line: string, admin: AdminConfig][] = [
    ["", { kind: "auto" }],
    ["admin: auto", { kind: "auto" }],
    ["admin: off", { kind: "off" }],
    ["admin: { listen: off }", { kind: "off" }],
    ["admin: 127.0.0.1:9000", tcp("127.0.0.1")],
    ["admin: { listen: 127.8.0.1:9000 }", tcp("127.8.0.1")],
    ['admin: "[::1]:9000"', tcp("::1")],
    ["admin: unix:admin.sock", { kind: "listen", address: { kind: "unix", path: "/etc/headgate/admin.sock" } }],
  ];
  for (const [line, admin] of meanings) {
    it(line === "" ? "has a default" : line, () => {
      const result = parse(line);
      assert.ok(result.ok, JSON.stringify(result));
      assert.deepEqual(result.config.admin, admin);
    });
  }
});

describe("admin refuses", () => {
  const LOOPBACK = "is no address of loopback (127.0.0.1, [::1]), and admin asks nobody who they are";
  const ADDRESS = "expected unix:/run/headgate.sock, 127.0.0.1:9000, auto or off";
  const refusals: readonly [value: string, message: string][] = [
    ["0.0.0.0:9000", `0.0.0.0:9000 ${LOOPBACK}; did you mean "127.0.0.1:9000"?`],
    ['":9000"', `:9000 ${LOOPBACK}; did you mean "127.0.0.1:9000"?`],
    ["10.0.0.1:9000", `10.0.0.1:9000 ${LOOPBACK}; did you mean "127.0.0.1:9000"?`],
    ['"[::]:9000"', `[::]:9000 ${LOOPBACK}; did you mean "127.0.0.1:9000"?`],
    ['"[::ffff:127.0.0.1]:9000"', `[::ffff:127.0.0.1]:9000 ${LOOPBACK}; did you mean "127.0.0.1:9000"?`],
    ["127.0.0.1.example.org:9", `127.0.0.1.example.org:9 ${LOOPBACK}; did you mean "127.0.0.1:9"?`],
    // A name is what the resolver says it is.
    ["localhost:9000", `localhost:9000 ${LOOPBACK}; did you mean "127.0.0.1:9000"?`],
    ["http://127.0.0.1:9000/", `${ADDRESS}, got "http://127.0.0.1:9000/"; did you mean "127.0.0.1:9000"?`],
    ["/run/headgate.sock", `${ADDRESS}, got "/run/headgate.sock"; did you mean "unix:/run/headgate.sock"?`],
    ["none", `${ADDRESS}, got "none"`],
    ["127.0.0.1:99999", `${ADDRESS}, got "127.0.0.1:99999"`],
  ];
  for (const [value, message] of refusals) {
    for (const form of [`admin: ${value}`, `admin: { listen: ${value} }`]) {
      it(form, () => {
        const result = parse(form);
        const place = `headgate.yaml:1:${form.indexOf(value) + 1}: admin${form.includes("{") ? ".listen" : ""}`;
        assert.deepEqual(result.ok ? [] : result.problems.map(formatProblem), [`${place}: ${message}`]);
      });
    }
  }

  it("the address of a server", () => {
    const both = parseConfig('admin: 127.0.0.1:80\nservers: { web: { listen: "127.0.0.1:80", respond: 204 } }\n', {
      file: "headgate.yaml",
    });
    assert.deepEqual(both.ok ? [] : both.problems.map(formatProblem), [
      "headgate.yaml:2:27: servers.web.listen: 127.0.0.1:80 is listened on by admin already",
    ]);
  });
});

describe("the socket of auto", () => {
  const cases: readonly [who: string, uid: number | null, env: Record<string, string>, paths: readonly string[]][] = [
    [
      "a user who is logged in",
      1000,
      { XDG_RUNTIME_DIR: "/run/user/1000" },
      ["/run/user/1000/headgate.sock", "/tmp/headgate-1000/headgate.sock"],
    ],
    ["a user without a session", 1000, {}, ["/tmp/headgate-1000/headgate.sock"]],
    ["root as a service", 0, {}, ["/run/headgate.sock", "/tmp/headgate-0/headgate.sock"]],
    [
      "root who is logged in",
      0,
      { XDG_RUNTIME_DIR: "/run/user/0/", TMPDIR: "/var/tmp/" },
      ["/run/user/0/headgate.sock", "/run/headgate.sock", "/var/tmp/headgate-0/headgate.sock"],
    ],
    [
      "relative folders, which mean nothing",
      7,
      { XDG_RUNTIME_DIR: "run", TMPDIR: "." },
      ["/tmp/headgate-7/headgate.sock"],
    ],
    ["a system without users", null, { XDG_RUNTIME_DIR: "/run" }, []],
  ];
  for (const [who, uid, env, paths] of cases) {
    it(who, () => {
      const places = adminSocketPlaces(uid, env);
      assert.deepEqual(
        places.map((place) => place.path),
        paths,
      );
      for (const { path, isTemporary } of places) assert.equal(isTemporary, path.includes("headgate-"), path);
    });
  }
});
