// Warnings of certificates that come to their end while a proxy runs, on a virtual clock.

import assert from "node:assert/strict";
import { test } from "node:test";
import { issueCertificate } from "../../test/support/certificates.ts";
import { TestFolder } from "../../test/support/folder.ts";
import { configOf } from "../../test/support/proxy-under-test.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { warningsOf } from "./setup-warnings.ts";
import { TlsFiles } from "./tls-files.ts";
import { Warnings } from "./warnings.ts";

const DAY_MS = 86_400_000;

test("a certificate that nobody renews is told of a week before its end, and at its end, once each", async () => {
  using folder = new TestFolder();
  const clock = new VirtualClock();
  const [begin, end] = [-1, 30.5].map((days) => new Date(clock.wallMs() + days * DAY_MS));
  const issued = issueCertificate({ names: ["a.example"], notBefore: begin!, notAfter: end! });
  const cert = folder.write("a.pem", issued.cert);
  const tls = { certificates: [{ cert, key: folder.write("a.key", issued.key) }] };
  const config = configOf({ servers: { web: { listen: { address: "127.0.0.1:0", tls }, respond: 204 } } });
  const files = await TlsFiles.load(config);
  let day = 0;
  const told: [day: number, warning: string][] = [];
  const warnings = new Warnings(clock, (warning) => told.push([day, warning]));
  warnings.keep(() => warningsOf(config, { tls: files.warningsAt(clock.wallMs()), interception: [] }, clock));
  const pass = (days: number): void => {
    for (const until = day + days; day < until; ) {
      day++;
      clock.advance(DAY_MS);
    }
  };
  pass(40);
  const at = new Date(Math.floor(end!.getTime() / 1000) * 1000).toISOString();
  assert.deepEqual(told, [
    [24, `${cert}: the certificate expires on ${at}`],
    [31, `${cert}: the certificate expired on ${at}`],
  ]);
  warnings.keep(() => ["another"]);
  pass(2);
  assert.deepEqual(told.slice(2), [[40, "another"]]);
  warnings.close();
  assert.equal(clock.pendingTimers, 0);
});
