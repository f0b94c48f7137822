/**
 * Whether caches fit each other and themselves: no two in one folder, nor one within another's, where each would take the other's
 * files for its own; no limit that another one makes void; and nothing to share by that other machines do not have.
 *
 * It is asked once every value of the file is known to be right. What one did not write himself, defaults, is not held against him.
 */
import { HOT_BYTES_DEFAULT } from "../caching/options.ts";
import { formatSize } from "../core/option-types.ts";
import { type CacheOptions, OBJECT_BYTES_MAX } from "../features/cache/options.ts";
import { StoreByUrl, type StoreReference } from "../identity/stores/options.ts";
import { unnamedCache } from "./caches.ts";
import type { Finding, Path } from "./problems.ts";
import type { ConfigBlocks } from "./schema.ts";

export function cacheProblems({ caches, stores }: ConfigBlocks): readonly Finding[] {
  const all = Object.entries(caches);
  return all.flatMap(([name, block], index) => {
    const found: Finding[] = [];
    const { directory, maxObject, size } = block;
    const earlier = all.slice(0, index).find(([, other]) => overlaps(directory, other.directory));
    if (earlier !== undefined) {
      const [other, { directory: place }] = earlier;
      const how = place === directory ? "has this folder already" : `has ${place}, and one would lie within the other`;
      found.push({ path: ["caches", name, "directory"], at: "value", message: `caches.${other} ${how}` });
    }
    if (maxObject !== undefined && maxObject > size) {
      const message = `is more than the whole cache may have (size: ${formatSize(size)})`;
      found.push({ path: ["caches", name, "maxObject"], at: "value", message });
    }
    if (block.shared !== undefined && kindOf(block.shared, stores) === "lmdb") {
      const message = "must be a Redis or Valkey: an LMDB is on this machine alone";
      found.push({ path: ["caches", name, "shared"], at: "value", message });
    }
    return found;
  });
}

/** What is possible but hardly meant. */
export function cacheWarnings({ caches, servers }: ConfigBlocks): readonly Finding[] {
  const all = Object.entries(caches);
  const ofCaches = all.flatMap(([name, { directory, memory, size }]): Finding[] => {
    const path: Path = ["caches", name];
    const isTilde = directory !== undefined && /(?:^|\/)~(?:\/|$)/.test(directory);
    return [
      ...(isTilde
        ? [
            warning(
              [...path, "directory"],
              'a folder of the name "~" is meant: this is no shell, write the path of the home',
            ),
          ]
        : []),
      ...(memory > size && memory !== HOT_BYTES_DEFAULT
        ? [warning([...path, "memory"], `is more than the whole cache may have (size: ${formatSize(size)})`)]
        : []),
    ];
  });
  const ofUses = usesOf(servers).flatMap(({ path, options }): Finding[] => {
    const name = options.store ?? unnamedCache(all.map(([one]) => one));
    const block = name === null ? undefined : caches[name];
    const most = Math.min(block?.maxObject ?? Number.POSITIVE_INFINITY, block?.size ?? Number.POSITIVE_INFINITY);
    const { maxObject } = options;
    const isVoid = maxObject > most && maxObject !== OBJECT_BYTES_MAX;
    const message = `has no effect: caches.${name} stores no body of more than ${formatSize(most)}`;
    return [...(isVoid ? [warning([...path, "maxObject"], message)] : []), ...neverReached(options, path)];
  });
  return [...ofCaches, ...ofUses];
}

interface CacheUse {
  readonly path: Path;
  readonly options: CacheOptions;
}

/** Every `cache` of the file. */
function usesOf(servers: ConfigBlocks["servers"]): readonly CacheUse[] {
  return Object.entries(servers).flatMap(([name, server]) => {
    const path: Path = ["servers", name];
    const lists = [
      { use: server.use, path },
      { use: server.forward?.use, path: [...path, "forward"] },
      ...(server.routes ?? []).map(({ use }, index) => ({ use, path: [...path, "routes", index] })),
    ];
    const uses = lists.flatMap(({ use, path }) =>
      (use ?? []).flatMap((item, index): CacheUse[] =>
        item.feature === "cache" ? [{ path: [...path, "use", index, "cache"], options: item.options }] : [],
      ),
    );
    const ofForward = server.forward?.cache;
    return ofForward === undefined ? uses : [...uses, { path: [...path, "forward", "cache"], options: ofForward }];
  });
}

/** Behind a rule that is for every answer. */
function neverReached({ rules }: CacheOptions, path: Path): readonly Finding[] {
  const all = rules.findIndex((rule) => rule.status === null && rule.path === null && rule.type === null);
  if (all < 0) return [];
  const message = `never reached: rules[${all}] is for every answer`;
  return rules.slice(all + 1).map((_, index) => warning([...path, "rules", all + 1 + index], message));
}

function warning(path: Path, message: string): Finding {
  return { path, at: "value", message };
}

function kindOf(reference: StoreReference, stores: ConfigBlocks["stores"]): string | undefined {
  return (reference instanceof StoreByUrl ? reference.settings : stores[reference.name])?.kind;
}

/** Both absolute. Without one, a cache is in a folder of its own name. */
function overlaps(left: string | undefined, right: string | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  const [a, b] = [`${left.replace(/\/+$/, "")}/`, `${right.replace(/\/+$/, "")}/`];
  return a.startsWith(b) || b.startsWith(a);
}
