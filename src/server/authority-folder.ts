/** The folder of the authority of interception, as `headgate ca init` makes it: the names of its files. */
import path from "node:path";

export const CERTIFICATE_FILE = "ca.pem";
export const KEY_FILE = "ca.key";
/** In the authority's folder, where certificates of hosts are kept unless the configuration says otherwise. */
const LEAVES_FOLDER = "leaves";

/** The files that are read, for who watches them. */
export function pathsOfAuthority(folder: string): readonly string[] {
  return [path.join(folder, CERTIFICATE_FILE), path.join(folder, KEY_FILE)];
}

export function leavesFolderOf(folder: string): string {
  return path.join(folder, LEAVES_FOLDER);
}
