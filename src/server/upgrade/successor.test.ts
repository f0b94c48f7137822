// Which program is started in the place of the one that runs.

import assert from "node:assert/strict";
import { it } from "node:test";
import { programOf } from "./successor.ts";

const execPath = "/opt/headgate/0.1.0/node_modules/node/bin/node";

for (const [how, argv0, program] of [
  ["by its name", "node", "node"],
  ["by a link", "/opt/headgate/current/node_modules/.bin/node", "/opt/headgate/current/node_modules/.bin/node"],
  ["by a name that was made up", "headgate: web", execPath],
] as const) {
  it(`a program that was called ${how} is found again`, () => assert.equal(programOf({ argv0, execPath }), program));
}
