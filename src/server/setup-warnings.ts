/** What works and should not stay so: sentences about a configuration and its files, the same at a start, a reload and a check. */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/ports.ts";
import { cacheWarnings, checkCacheFolders } from "./caches/folder.ts";
import { debugWarnings } from "./forward-debug.ts";
import { Interceptions } from "./interceptions.ts";
import { TlsFiles } from "./tls-files.ts";

/** Rejects with a SetupError when a file of TLS or of interception, or the folder of a cache, cannot be used. */
export async function setupWarnings(config: Config, clock: Clock): Promise<readonly string[]> {
  const files = await TlsFiles.load(config, clock);
  checkCacheFolders(config);
  return warningsOf(config, { files, interception: await Interceptions.warningsOf(config, clock) }, clock);
}

/** The same of what was read already. */
export function warningsOf(
  config: Config,
  { files, interception }: { readonly files: TlsFiles; readonly interception: readonly string[] },
  clock: Clock,
): readonly string[] {
  return [...files.warnings, ...interception, ...cacheWarnings(config), ...debugWarnings(config, clock.wallMs())];
}
