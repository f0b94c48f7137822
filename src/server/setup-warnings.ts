/** What works and should not stay so: sentences about a configuration and its files, the same at a start, a reload and a check. */
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/ports.ts";
import { cacheWarnings, checkCacheFolders } from "./caches/folder.ts";
import { debugWarnings } from "./forward-debug.ts";
import { Interceptions } from "./interceptions.ts";
import { TlsFiles } from "./tls-files.ts";

/** Rejects with a SetupError when a file of TLS or of interception, or the folder of a cache, cannot be used. */
export async function setupWarnings(config: Config, clock: Clock): Promise<readonly string[]> {
  const files = await TlsFiles.load(config);
  checkCacheFolders(config);
  const interception = await Interceptions.warningsOf(config, clock);
  return warningsOf(config, { tls: files.warningsAt(clock.wallMs()), interception }, clock);
}

/** The same of what was read already: what is to be warned of in its files now. */
export function warningsOf(
  config: Config,
  ofFiles: { readonly tls: readonly string[]; readonly interception: readonly string[] },
  clock: Clock,
): readonly string[] {
  const { tls, interception } = ofFiles;
  return [...tls, ...interception, ...cacheWarnings(config), ...debugWarnings(config, clock.wallMs())];
}
