/**
 * The files that a configuration names: certificates, keys and authorities, users and API keys, and what is intercepted with. They are
 * read before anything is opened, all of them or none. When they change later, each that cannot be used is used on as it was, and keeps
 * no other from being read: a renewal that is half done must not keep somebody in whose line was taken away.
 */
import type { Config } from "../config/config.ts";
import { CredentialFiles } from "./credential-files.ts";
import type { FileProblem } from "./file-problem.ts";
import { type InterceptionSurroundings, Interceptions } from "./interceptions.ts";
import { TlsFiles } from "./tls-files.ts";

/** More than that are not named in a line of the log. */
const NAMED_MAX = 8;

export class NamedFiles {
  readonly tls: TlsFiles;
  readonly credentials: CredentialFiles;
  readonly interceptions: Interceptions;

  private constructor(tls: TlsFiles, credentials: CredentialFiles, interceptions: Interceptions) {
    this.tls = tls;
    this.credentials = credentials;
    this.interceptions = interceptions;
  }

  static pathsOf(config: Config): readonly string[] {
    return [...TlsFiles.pathsOf(config), ...CredentialFiles.pathsOf(config), ...Interceptions.pathsOf(config)];
  }

  /** Rejects with a SetupError that names what cannot be used, and is not in `before`: the same configuration's, when they were read last. */
  static async load(
    config: Config,
    around: InterceptionSurroundings,
    before: NamedFiles | null = null,
  ): Promise<NamedFiles> {
    const tls = await TlsFiles.load(config, around.clock, before?.tls);
    const credentials = await CredentialFiles.load(config, before?.credentials);
    const interceptions = await Interceptions.load(config, around, before?.interceptions);
    return new NamedFiles(tls, credentials, interceptions);
  }

  /** What to tell the operator of files that have changed: those that were taken, and why others were not; null: there are none. */
  describe(changed: readonly string[]): { readonly taken: string | null; readonly refused: string | null } {
    const problems: readonly FileProblem[] = [
      ...this.tls.problems,
      ...this.credentials.problems,
      ...this.interceptions.problems,
    ];
    const refused = new Set(problems.flatMap(({ files }) => files));
    const taken = changed.filter((file) => !refused.has(file));
    return {
      taken: taken.length === 0 ? null : nameSome(taken),
      refused: problems.length === 0 ? null : nameSome(new Set(problems.map(({ message }) => message)), "; "),
    };
  }
}

function nameSome(names: Iterable<string>, between = ", "): string {
  const all = [...names];
  const named = all.slice(0, NAMED_MAX).join(between);
  return all.length > NAMED_MAX ? `${named}${between}and ${all.length - NAMED_MAX} more` : named;
}
