// What a start, a reload and a check warn of alike.

import assert from "node:assert/strict";
import { test } from "node:test";
import { internalAuthority } from "../../test/support/interception-stage.ts";
import { configOf } from "../../test/support/proxy-under-test.ts";
import { checkSetup } from "./check-setup.ts";

test("an access log whose folder is not there", async () => {
  const output = "/no/such/folder/access.log";
  const servers = { web: { listen: "127.0.0.1:0", respond: 204 } };
  const warnings = await checkSetup(configOf({ log: { access: { output } }, servers }));
  assert.deepEqual(warnings, [`log.access.output: cannot open the log file ${output}: there is no such folder`]);
});

test("hosts that are to be intercepted and that the CA may not certify", async () => {
  const { folder } = await internalAuthority(["origin.example"]);
  using _folder = folder;
  const intercept = { hosts: "*", ca: folder.path };
  const config = configOf({ servers: { egress: { listen: "127.0.0.1:0", forward: { intercept } } } });
  const only = "the CA certifies only origin.example and below: HTTPS of all other hosts fails";
  assert.equal((await checkSetup(config)).at(-1), `${folder.file("ca.pem")}: ${only}`);
});
