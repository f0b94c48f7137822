// `headgate run` with less patience for a silent worker than the half minute of an operator's: a test of one need not wait so long.

import { loadConfigFile } from "../../src/cli/config-file.ts";
import { serve } from "../../src/cli/service.ts";

/** Some beats of a worker's pulse, so that a busy machine is not taken for an endless loop. */
const SILENT_MS_MAX = 5_000;

const file = "headgate.ts";
await serve({ ...(await loadConfigFile(file)), file, watch: null, silentMsMax: SILENT_MS_MAX });
