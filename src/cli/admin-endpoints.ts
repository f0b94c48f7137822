/**
 * Where a command looks for the running proxy: at the address of the command line, or at that of the configuration, or where
 * a proxy without either has its socket. Of the configuration's file nothing else needs to be right: who looks for a proxy
 * may be about to mend it, and may not read the secrets that it names.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import {
  type AdminEndpoint,
  adminEndpoints,
  adminSocketPlaces,
  parseAdminField,
  readAdminField,
} from "../config/admin-address.ts";
import type { AdminConfig } from "../config/config.ts";
import { filesBeside, findConfigFile } from "../config/load.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import { loadConfigFile } from "./config-file.ts";

export interface WhichProxy {
  readonly admin?: string;
  readonly config?: string;
}

/** The configuration by which the proxy is looked for; null: there is none, or an address was given. */
export function fileOf({ admin, config }: WhichProxy): string | null {
  return admin === undefined ? (config ?? findConfigFile(process.cwd())) : null;
}

/** At least one place, best first. Rejects with a CommandError. */
export async function findEndpoints(which: WhichProxy): Promise<readonly AdminEndpoint[]> {
  const places = adminSocketPlaces(process.getuid?.() ?? null, process.env);
  if (which.admin !== undefined) return adminEndpoints(adminOfFlag(which.admin), places);
  const file = fileOf(which);
  const endpoints = adminEndpoints(file === null ? { kind: "auto" } : await adminOfFile(file), places);
  if (endpoints.length > 0) return endpoints;
  const where = file === null ? "this system has no socket of its own for it" : `${file} turns its admin interface off`;
  throw new CommandError([`cannot look for a running headgate: ${where}; name an address with --admin ADDRESS`]);
}

function adminOfFlag(text: string): AdminConfig {
  const field = parseAdminField(text, filesBeside("headgate"));
  if (field.ok && field.admin.kind !== "off") return field.admin;
  const hint = field.ok || field.suggestion === null ? "" : `; did you mean ${JSON.stringify(field.suggestion)}?`;
  const message = field.ok ? `${JSON.stringify(text)} is no address` : field.message;
  throw new CommandError([`error: option '--admin <address>': ${message}${hint}`], STATUS_USAGE);
}

async function adminOfFile(file: string): Promise<AdminConfig> {
  return adminFieldOf(file) ?? (await loadConfigFile(withinFolder(file))).config.admin;
}

/** As the file is named in its problems: what is elsewhere has its whole path. */
function withinFolder(file: string): string {
  return path.dirname(file) === process.cwd() ? path.basename(file) : file;
}

/** null: the file is a program, or the field cannot be had: loading the whole file says why. */
function adminFieldOf(file: string): AdminConfig | null {
  if (!/\.(ya?ml|json)$/.test(file)) return null;
  try {
    const format = file.endsWith(".json") ? "json" : "yaml";
    return readAdminField(readFileSync(file, "utf8"), format, process.env, filesBeside(file));
  } catch {
    return null;
  }
}
