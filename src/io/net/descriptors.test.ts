// Listening on a socket that somebody else has bound. Node closes what it listens on, so a duplicate is what it gets.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DescriptorProcess } from "../../../test/support/descriptor-process.ts";

test("the descriptor stays open, because its duplicate is closed", async () => {
  await using listening = await DescriptorProcess.start(null, "duplicate");
  assert.equal(await listening.greeting(), "hello from the descriptor");
  assert.equal(await listening.close(), true);
});
