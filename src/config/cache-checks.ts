/**
 * Whether caches fit each other and themselves: no two in one folder, nor one within another's, where each would take the other's
 * files for its own; no limit that another one makes void; and nothing to share by that other machines do not have.
 *
 * It is asked once every value of the file is known to be right.
 */
import { formatSize } from "../core/option-types.ts";
import { StoreByUrl, type StoreReference } from "../identity/stores/options.ts";
import type { Finding } from "./problems.ts";
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

function kindOf(reference: StoreReference, stores: ConfigBlocks["stores"]): string | undefined {
  return (reference instanceof StoreByUrl ? reference.settings : stores[reference.name])?.kind;
}

/** Both absolute. Without one, a cache is in a folder of its own name. */
function overlaps(left: string | undefined, right: string | undefined): boolean {
  if (left === undefined || right === undefined) return false;
  const [a, b] = [`${left.replace(/\/+$/, "")}/`, `${right.replace(/\/+$/, "")}/`];
  return a.startsWith(b) || b.startsWith(a);
}
