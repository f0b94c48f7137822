// A client resumes its TLS session with whichever worker its next connection comes to, until what the address says or asks changes.

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import tls from "node:tls";
import { Folder, Running } from "../cli/headgate.ts";
import { issueCertificate } from "../support/certificates.ts";
import { MANY } from "./workers.ts";

const TLS = "tls: { certificates: [{ cert: a.crt, key: a.key }] }";
const CONFIG = `
workers: 2
log: { access: "off" }
servers: { web: { listen: { address: "127.0.0.1:0", ${TLS} }, respond: 204 } }
`;

type Version = "TLSv1.2" | "TLSv1.3";

/** Asks on a connection of its own. A session that is resumed stays the one to resume. */
async function ask(port: number, maxVersion: Version, session?: Buffer) {
  const socket = tls.connect({ port, maxVersion, ...(session && { session }), rejectUnauthorized: false });
  let latest = session;
  socket.on("session", (begun: Buffer) => {
    latest = begun;
  });
  socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const [head] = await once(socket, "data");
  assert.match(String(head), /^HTTP\/1\.1 204 /);
  const isResumed = socket.isSessionReused();
  socket.resume().end();
  await once(socket, "close");
  return { isResumed, session: latest };
}

function certificateIn(folder: Folder): void {
  const { cert, key } = issueCertificate({ names: ["a.test"] });
  folder.file("a.crt", cert);
  folder.file("a.key", key);
}

describe("a TLS session", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    test(`of ${version} is resumed by every worker, and not across another certificate`, async () => {
      using folder = new Folder();
      certificateIn(folder);
      folder.file("headgate.yaml", CONFIG);
      await using running = await Running.start(folder.path, "run");
      const port = running.port("web");
      let { session, isResumed } = await ask(port, version);
      assert.equal(isResumed, false);
      for (let count = 0; count < MANY; count++) {
        ({ session, isResumed } = await ask(port, version, session));
        assert.equal(isResumed, true);
      }
      certificateIn(folder);
      running.signal("SIGHUP");
      await running.untilLogged(/loaded again/);
      assert.equal((await ask(port, version, session)).isResumed, false);
    });
  }
});
