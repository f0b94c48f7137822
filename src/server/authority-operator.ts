/**
 * What an operator does with the CA of interception: makes one, and looks at one. It writes two files and nothing else, never over
 * others unless it is told to, and never shows or reads the key again.
 */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { judgeCidr } from "../core/cidr.ts";
import { hostPattern } from "../core/option-addresses.ts";
import { AuthorityCertificate, AuthorityError, COMMON_NAME_CHARACTERS_MAX } from "../forward/interception/authority.ts";
import { describeConstraints } from "../forward/interception/name-constraints.ts";
import { makeAuthority } from "../forward/interception/new-authority.ts";
import type { SystemError } from "../io/failures.ts";
import { readTextFile } from "../io/text-file.ts";
import { CERTIFICATE_FILE, KEY_FILE } from "./authority-folder.ts";
import { looseness, PEM_BYTES_MAX } from "./interception-authority.ts";
import { clock } from "./surroundings.ts";

/** What cannot be done, in a line for the operator. */
export class AuthorityOperatorError extends Error {
  /** A flag is to blame, not the machine. */
  readonly isUsage: boolean = false;
}

export class AuthorityFlagError extends AuthorityOperatorError {
  override readonly isUsage = true;
}

export interface ShownAuthority {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly subject: string;
  /** SHA-256 of the certificate, in pairs of digits. */
  readonly fingerprint: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** null: it may certify any name. */
  readonly constraints: string | null;
  readonly warnings: readonly string[];
}

export interface MadeAuthority extends ShownAuthority {
  /** Those of the wish that `intercept` takes, for the configuration. */
  readonly hosts: readonly string[];
  /** What it may certify beyond the wish; null: nothing. */
  readonly wider: string | null;
}

/** Texts as flags have them. */
export interface AuthorityWish {
  readonly folder: string;
  /** Names and networks, with commas between them. */
  readonly hosts?: string | undefined;
  readonly name?: string | undefined;
  readonly days?: string | undefined;
  readonly replaces: boolean;
}

const DAY_MS = 86_400_000;
/** Five years: to replace a CA is work on every client, and nobody remembers how after ten. */
const DAYS = 1825;
/** Whoever wants more wants to forget about it. */
const DAYS_MAX = 7300;

/** Rejects with an AuthorityOperatorError. */
export async function initAuthority(wish: AuthorityWish): Promise<MadeAuthority> {
  const { hosts, networks } = hostsOf(wish.hosts);
  const folder = path.resolve(wish.folder);
  const lifeMs = daysOf(wish.days) * DAY_MS;
  const name = nameOf(wish.name);
  const made = await makeAuthority({ name, lifeMs, hosts, networks }, clock.wallMs());
  await makeFolder(folder);
  const write = wish.replaces ? replace : create;
  // The key first: a certificate without one would look like a CA.
  await write(path.join(folder, KEY_FILE), made.key, 0o600);
  try {
    await write(path.join(folder, CERTIFICATE_FILE), made.cert, 0o644);
  } catch (error) {
    if (!wish.replaces) await rm(path.join(folder, KEY_FILE), { force: true });
    throw error;
  }
  return { ...(await showAuthority(folder)), hosts, wider: widerThan(hosts) };
}

/** Constraints know no wildcards (RFC 5280 section 4.2.1.10): a name stands for itself and all below. */
function widerThan(hosts: readonly string[]): string | null {
  const parts = hosts.flatMap((host) => {
    const name = host.replace(/^\*\./, "");
    if (name !== host) return hosts.includes(name) ? [] : [`${host} permits ${name} as well`];
    return hosts.includes(`*.${host}`) ? [] : [`${host} permits all names below it as well`];
  });
  return parts.length === 0
    ? null
    : `wider than asked, since a CA's constraints know no wildcards: ${parts.join(", ")}`;
}

/** By its certificate alone, which anybody may read. Rejects with an AuthorityOperatorError. */
export async function showAuthority(from: string): Promise<ShownAuthority> {
  const folder = path.resolve(from);
  const certificateFile = path.join(folder, CERTIFICATE_FILE);
  let text: string;
  try {
    text = await readTextFile(certificateFile, PEM_BYTES_MAX);
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as SystemError;
    if (code === "ENOENT") {
      const hint = "make one with headgate ca init, or name its folder with --dir";
      throw new AuthorityOperatorError(`${folder}: there is no CA here; ${hint}`, { cause: error });
    }
    const words = code === "EACCES" ? "cannot be read: permission denied" : (error as Error).message;
    throw new AuthorityOperatorError(`${certificateFile}: ${words}`, { cause: error });
  }
  try {
    const shown = describe(AuthorityCertificate.parse(text), certificateFile, path.join(folder, KEY_FILE));
    // Where clients are made to trust it there is no key.
    const loose = await looseness(shown.keyFile).catch(() => []);
    return { ...shown, warnings: [...shown.warnings, ...loose] };
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    throw new AuthorityOperatorError(`${certificateFile}: ${error.message}`, { cause: error });
  }
}

function describe(certificate: AuthorityCertificate, certificateFile: string, keyFile: string): ShownAuthority {
  const { x509, constraints, notBeforeMs, notAfterMs } = certificate;
  const wallMs = clock.wallMs();
  const hasExpired = notAfterMs <= wallMs;
  return {
    certificateFile,
    keyFile,
    subject: x509.subject.split("\n").join(", "),
    fingerprint: x509.fingerprint256,
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    constraints: constraints === null ? null : describeConstraints(constraints),
    warnings: hasExpired ? ["the CA has expired: make its successor with --force"] : certificate.warningsAt(wallMs),
  };
}

const EVERY_HOST = "leave it out for a CA that may certify any name";
const HOSTS_EXPECTED = "expected names and networks with commas between them, such as *.example.org,10.0.0.0/8";

interface HostsAndNetworks {
  readonly hosts: readonly string[];
  readonly networks: readonly string[];
}

function hostsOf(list: string | undefined): HostsAndNetworks {
  const hosts: string[] = [];
  const networks: string[] = [];
  for (const text of list === undefined ? [] : list.split(",").map((part) => part.trim())) {
    const verdict = judgeCidr(text.replace(/^\[(.*)\]$/, "$1"));
    const host = hostPattern().safeParse(text);
    if (verdict.kind === "network") networks.push(verdict.cidr);
    else if (verdict.kind === "hostBits") {
      throw new AuthorityFlagError(`--hosts: ${text} is no network; did you mean ${verdict.meant}?`);
    } else if (host.success) hosts.push(host.data);
    else
      throw new AuthorityFlagError(
        `--hosts: ${text === "*" ? EVERY_HOST : `${HOSTS_EXPECTED}, got ${JSON.stringify(text)}`}`,
      );
  }
  return { hosts, networks };
}

function daysOf(text: string | undefined): number {
  if (text === undefined) return DAYS;
  const days = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= DAYS_MAX) return days;
  throw new AuthorityFlagError(`--days: expected a number from 1 to ${DAYS_MAX}, got ${JSON.stringify(text)}`);
}

function nameOf(text: string | undefined): string {
  const name = text ?? `Headgate CA (${os.hostname()})`.slice(0, COMMON_NAME_CHARACTERS_MAX);
  const isName = name.trim() === name && name !== "" && !/[\p{Cc}\p{Cf}]/u.test(name) && name.isWellFormed();
  if (isName && name.length <= COMMON_NAME_CHARACTERS_MAX) return name;
  throw new AuthorityFlagError(`--name: expected a name of at most ${COMMON_NAME_CHARACTERS_MAX} characters`);
}

const WRITE_FAILURES: Readonly<Record<string, string>> = {
  EACCES: "permission denied; name another folder with --dir",
  EPERM: "permission denied; name another folder with --dir",
  // Also what Node makes of a folder above that may not be made.
  ENOTDIR: "a part of the path is not a folder, or cannot be made",
  EEXIST: "this is not a folder",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
};

/** The folder for its owner alone; those above it, when they are missing too, as folders usually are. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(path.dirname(folder), { recursive: true });
    await mkdir(folder, { mode: 0o700 }).catch((error: SystemError) => {
      if (error.code !== "EEXIST") throw error;
    });
  } catch (error) {
    throw new AuthorityOperatorError(`cannot make the folder ${folder}: ${wordsOf(error)}`, { cause: error });
  }
}

/** Only when there is none. */
async function create(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx", mode });
  } catch (error) {
    if ((error as SystemError).code === "EEXIST") {
      const what = "every client would have to trust the new one";
      throw new AuthorityOperatorError(`${file} exists already; --force makes a new CA in its place: ${what}`, {
        cause: error,
      });
    }
    throw new AuthorityOperatorError(`cannot write ${file}: ${wordsOf(error)}`, { cause: error });
  }
}

/** Nobody ever reads half of it, and a key that others could read does not stay so. */
async function replace(file: string, text: string, mode: number): Promise<void> {
  const unfinished = `${file}.new`;
  try {
    await rm(unfinished, { force: true });
    await writeFile(unfinished, text, { flag: "wx", mode });
    await rename(unfinished, file);
  } catch (error) {
    throw new AuthorityOperatorError(`cannot write ${file}: ${wordsOf(error)}`, { cause: error });
  }
}

function wordsOf(error: unknown): string {
  const { code = "", message } = error as SystemError;
  return WRITE_FAILURES[code] ?? message;
}
