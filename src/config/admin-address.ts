/**
 * Where the admin interface is, for both of its sides: the proxy that opens it, and a command that looks for it and knows
 * nothing but a flag, or one field of a configuration of which the rest may be wrong.
 */
import { formatListenAddress, type ListenAddress } from "../core/option-addresses.ts";
import { type OptionFiles, parseWithFiles } from "../core/option-files.ts";
import { admin } from "./admin-schema.ts";
import type { AdminConfig } from "./config.ts";
import { readDocument } from "./document.ts";
import { findingsOf, plainMessages, valueAt } from "./findings.ts";

/** A place for the socket of `auto`. */
export interface AdminSocketPlace {
  readonly path: string;
  /** Its folder is in the temporary one, where everybody may make folders: it is made for this user alone. */
  readonly isTemporary: boolean;
}

/**
 * Where the socket of `auto` may be, best first: the server takes the first whose folder is there, a command asks them in
 * this order, since it may run in another session than the server.
 * @param uid of the process; null on systems that have none, which have no such socket either.
 */
export function adminSocketPlaces(
  uid: number | null,
  env: Readonly<Record<string, string | undefined>>,
): readonly AdminSocketPlace[] {
  if (uid === null) return [];
  const absolute = (folder: string | undefined) => (folder?.startsWith("/") ? [folder.replace(/\/+$/, "")] : []);
  const [temporary = "/tmp"] = absolute(env.TMPDIR);
  const folders = [...absolute(env.XDG_RUNTIME_DIR), ...(uid === 0 ? ["/run"] : [])];
  return [
    ...folders.map((folder) => ({ path: `${folder}/headgate.sock`, isTemporary: false })),
    { path: `${temporary}/headgate-${uid}/headgate.sock`, isTemporary: true },
  ];
}

/** A place to connect to. */
export interface AdminEndpoint {
  /** As `admin` names it. */
  readonly text: string;
  readonly address: ListenAddress;
  /** Nobody named it: it is where a socket would be. */
  readonly isGuess: boolean;
}

/** Where a command may find the proxy that has this configuration, best first; none when it is off. */
export function adminEndpoints(config: AdminConfig, places: readonly AdminSocketPlace[]): readonly AdminEndpoint[] {
  if (config.kind === "off") return [];
  const addresses: readonly ListenAddress[] =
    config.kind === "listen" ? [config.address] : places.map(({ path }) => ({ kind: "unix", path }));
  return addresses.map((address) => {
    return { text: formatListenAddress(address), address, isGuess: config.kind === "auto" };
  });
}

export type AdminField =
  | { readonly ok: true; readonly admin: AdminConfig }
  /** What is wrong with it, and what was probably meant. */
  | { readonly ok: false; readonly message: string; readonly suggestion: string | null };

/** The value of the field `admin`, or of a flag that stands for it. */
export function parseAdminField(value: unknown, files: OptionFiles): AdminField {
  const parsed = parseWithFiles(files, () => admin.safeParse(value, { error: plainMessages }));
  if (parsed.success) return { ok: true, admin: parsed.data };
  const [issue] = findingsOf(parsed.error.issues, value);
  return { ok: false, message: issue?.message ?? "", suggestion: issue?.suggestion ?? null };
}

/** The field `admin` of a file's text, whatever else is wrong with the file; null when the field itself cannot be had. */
export function readAdminField(
  text: string,
  format: "yaml" | "json",
  env: Readonly<Record<string, string | undefined>>,
  files: OptionFiles,
): AdminConfig | null {
  const { value, findings } = readDocument(text, format, env);
  if (findings.some(({ path: [first] }) => first === undefined || first === "admin")) return null;
  const field = valueAt(value, ["admin"]);
  const parsed = parseAdminField(field === undefined ? "auto" : field, files);
  return parsed.ok ? parsed.admin : null;
}
