/**
 * Where the internal CA of interception is when nobody says where, where its leaves are kept, and where caches are: of the system
 * for root, of the user for everybody else (XDG Base Directory Specification). It decides by what it is told and looks at no disk.
 */

/** Of the process that asks. */
export interface FolderOwner {
  /** null on systems that have none. */
  readonly uid: number | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly home: string;
}

/** Where `headgate ca init` makes a CA, and where interception looks for one. */
export function defaultAuthorityFolder({ uid, env, home }: FolderOwner): string {
  if (uid === 0) return "/etc/headgate/ca";
  return `${absolute(env.XDG_DATA_HOME) ?? `${home}/.local/share`}/headgate/ca`;
}

/** Leaves are a cache: they may be lost, and stay out of backups. */
export function defaultLeafFolder(owner: FolderOwner): string {
  return `${cacheHome(owner)}/leaves`;
}

/** Where the cache of a name is whose `directory` nobody names. */
export function defaultCacheFolder(owner: FolderOwner, name: string): string {
  return `${cacheHome(owner)}/caches/${name}`;
}

/** CACHE_DIRECTORY is systemd's, for a service that may write there alone. */
function cacheHome({ uid, env, home }: FolderOwner): string {
  const ofService = absolute(env.CACHE_DIRECTORY?.split(":")[0]);
  if (ofService !== null) return ofService;
  if (uid === 0) return "/var/cache/headgate";
  return `${absolute(env.XDG_CACHE_HOME) ?? `${home}/.cache`}/headgate`;
}

/** The specification has relative paths ignored. */
function absolute(folder: string | undefined): string | null {
  return folder?.startsWith("/") ? folder.replace(/\/+$/, "") : null;
}
