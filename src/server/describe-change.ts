/** What a reload changed, in one line. */
import type { ConfigDiff } from "../config/diff.ts";

export function describeChange(diff: ConfigDiff, isImportedAnew: boolean): string {
  if (diff.same) return isImportedAnew ? "the program is imported anew" : "nothing has changed";
  const parts: string[] = [];
  const tell = (what: string, names: readonly string[]): void => {
    if (names.length > 0) parts.push(`${what} ${names.join(", ")}`);
  };
  tell("opened", diff.listeners.added);
  tell("closed", diff.listeners.removed);
  tell("servers added:", diff.servers.added);
  tell("removed:", diff.servers.removed);
  tell("servers changed:", diff.servers.changed);
  tell("upstreams made anew:", diff.upstreams.changed);
  tell("stores opened anew:", diff.stores.changed);
  tell("caches opened:", diff.caches.added);
  tell("caches closed:", diff.caches.removed);
  tell("caches changed:", diff.caches.changed);
  return parts.length === 0 ? "settings changed" : parts.join("; ");
}
