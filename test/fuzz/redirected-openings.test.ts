// Openings of redirected connections that are almost a ClientHello, in pieces of any size: each becomes a tunnel that carries every
// byte, is answered as a request that cannot be read, or is closed; and nothing is left of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { clientHello, records, serverName } from "../support/client-hello-bytes.ts";
import { EchoServer } from "../support/forward-stage.ts";
import { RedirectedStage } from "../support/redirected-stage.ts";
import { runSeeds } from "../support/seed.ts";

