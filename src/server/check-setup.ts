/** What this machine has to say about a configuration, without opening anything. */
import type { Config } from "../config/config.ts";
import { logFileTrouble } from "../io/log-file.ts";
import { cacheOwnerWarnings } from "./caches/folder.ts";
import { CredentialFiles } from "./credential-files.ts";
import { composeForInspection } from "./explain.ts";
import { setupWarnings } from "./setup-warnings.ts";
import { clock } from "./surroundings.ts";

/** Resolves with warnings; rejects with a SetupError when a start would fail. */
export async function checkSetup(config: Config): Promise<readonly string[]> {
  const warnings = [
    ...(await setupWarnings(config, clock)),
    ...(await cacheOwnerWarnings(config)),
    ...accessLogWarnings(config),
  ];
  await CredentialFiles.load(config);
  await composeForInspection(config);
  return warnings;
}

/** No problem: a service manager may make the folder at the start, or start it as another user. */
function accessLogWarnings({ log: { access } }: Config): readonly string[] {
  if (access?.output.kind !== "file") return [];
  const trouble = logFileTrouble(access.output.path);
  return trouble === null ? [] : [`log.access.output: ${trouble}`];
}
