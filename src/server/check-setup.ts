/** What this machine has to say about a configuration, without opening anything. */
import type { Config } from "../config/config.ts";
import { CredentialFiles } from "./credential-files.ts";
import { composeForInspection } from "./explain.ts";
import { debugWarnings } from "./forward-debug.ts";
import { clock } from "./surroundings.ts";
import { TlsFiles } from "./tls-files.ts";

/** Resolves with warnings; rejects with a SetupError when a start would fail. */
export async function checkSetup(config: Config): Promise<readonly string[]> {
  const files = await TlsFiles.load(config, clock);
  await CredentialFiles.load(config);
  await composeForInspection(config);
  return [...files.warnings, ...debugWarnings(config, clock.wallMs())];
}
