/**
 * The CA of interception from its folder, read and checked before anything is opened; and the leaves that it issues, kept
 * in a folder of their own. Who intercepts nothing never imports this: it brings a library along.
 */
import { stat } from "node:fs/promises";
import type { Clock } from "../core/ports.ts";
import { Authority, AuthorityCertificate, AuthorityError, LEAF_LIFE_MS } from "../forward/interception/authority.ts";
import { LeafCertificates } from "../forward/interception/leaves.ts";
import { describeConstraints, permitsPattern } from "../forward/interception/name-constraints.ts";
import { FileTexts } from "../io/file-texts.ts";
import { LeafFiles } from "../io/leaf-files.ts";
import { readTextFile } from "../io/text-file.ts";
import { pathsOfAuthority } from "./authority-folder.ts";
import { SetupError, type SetupProblem } from "./setup-error.ts";

/** A chain with its comments, or a key. */
export const PEM_BYTES_MAX = 1024 * 1024;

export interface LoadedAuthority {
  readonly authority: Authority;
  /** Sentences for the log, at that time of the wall clock. */
  warningsAt(wallMs: number): readonly string[];
}

/**
 * @param hosts the patterns that are to be intercepted: what the CA may not certify is a warning.
 * @param place where the folder stands in the configuration.
 * Rejects with a SetupError.
 */
export async function loadAuthority(
  folder: string,
  hosts: readonly string[],
  place: SetupProblem["path"],
  clock: Clock,
  texts = new FileTexts(),
): Promise<LoadedAuthority> {
  const [certificateFile = "", keyFile = ""] = pathsOfAuthority(folder);
  const fail = (message: string, cause: unknown): never => {
    throw new SetupError([{ path: place, message }], cause);
  };
  const read = async (file: string): Promise<string> => {
    try {
      return await texts.of(file, () => readTextFile(file, PEM_BYTES_MAX));
    } catch (error) {
      const isThere = !(error as Error).message.endsWith("there is no such file");
      const hint = isThere ? "" : `; make a CA with: headgate ca init --dir ${folder}`;
      return fail(`${file}: ${(error as Error).message}${hint}`, error);
    }
  };
  const certificatePem = await read(certificateFile);
  const keyPem = await read(keyFile);
  try {
    const authority = await Authority.load(certificatePem, keyPem, clock.wallMs());
    const always = [...(await looseness(keyFile)), ...beyond(authority, hosts, certificateFile)];
    const warningsAt = (wallMs: number): readonly string[] => {
      const ofTime = authority.certificate.warningsAt(wallMs).map((words) => `${certificateFile}: ${words}`);
      return [...ofTime, ...always];
    };
    return { authority, warningsAt };
  } catch (error) {
    if (!(error instanceof AuthorityError)) throw error;
    return fail(`${error.part === "key" ? keyFile : certificateFile}: ${error.message}`, error);
  }
}

/** Why the CA of a folder has no certificate for a host, without its key being read; null: it could make one. */
export async function unfitnessOf(folder: string, host: string, clock: Clock): Promise<string | null> {
  const [certificateFile = ""] = pathsOfAuthority(folder);
  try {
    const certificate = AuthorityCertificate.parse(await readTextFile(certificateFile, PEM_BYTES_MAX));
    if (certificate.notAfterMs <= clock.wallMs()) return "it has expired";
    const { constraints } = certificate;
    if (constraints === null || permitsPattern(constraints, host)) return null;
    return `it may not certify this host, but ${describeConstraints(constraints)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

export function leavesOf(
  authority: Authority,
  folder: string,
  clock: Clock,
  tell: (message: string) => void,
): LeafCertificates {
  const fingerprint = authority.certificate.x509.fingerprint256;
  const files = { folder, authority: fingerprint, keepMs: LEAF_LIFE_MS, wallMs: () => clock.wallMs() };
  return new LeafCertificates(authority, { store: new LeafFiles(files), clock, tell });
}

/** A key that others may read is a CA that others may use. */
export async function looseness(keyFile: string): Promise<readonly string[]> {
  const { mode } = await stat(keyFile);
  if (process.platform === "win32" || (mode & 0o077) === 0) return [];
  return [
    `${keyFile}: other users may read or write the key of the CA (mode ${(mode & 0o777).toString(8)}): chmod 600 it`,
  ];
}

function beyond(authority: Authority, hosts: readonly string[], certificateFile: string): readonly string[] {
  const { constraints } = authority.certificate;
  const refused = constraints === null ? [] : hosts.filter((host) => !permitsPattern(constraints, host));
  if (constraints === null || refused.length === 0) return [];
  if (refused.includes("*")) {
    const certifies = describeConstraints(constraints);
    return [`${certificateFile}: the CA certifies ${certifies}: HTTPS of all other hosts fails`];
  }
  return [`${certificateFile}: the CA may not certify ${refused.join(", ")}: those hosts cannot be intercepted`];
}
