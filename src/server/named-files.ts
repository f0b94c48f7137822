/**
 * The files that a configuration names: certificates, keys and authorities, users and API keys, and what is intercepted with. They are
 * read before anything is opened, all of them or none. When they change later, each that cannot be used is used on as it was, and keeps
 * no other from being read: a renewal that is half done must not keep somebody in whose line was taken away.
 */
import type { Config } from "../config/config.ts";
import { FileTexts } from "../io/file-texts.ts";
import { CredentialFiles } from "./credential-files.ts";
import type { FileProblem } from "./file-problem.ts";
import { type InterceptionSurroundings, Interceptions } from "./interceptions.ts";
import { SetupError } from "./setup-error.ts";
import { TlsFiles } from "./tls-files.ts";

/** More than that are not named in a line of the log. */
const NAMED_MAX = 8;

export class NamedFiles {
  readonly tls: TlsFiles;
  readonly credentials: CredentialFiles;
  readonly interceptions: Interceptions;
  /** What is used, by path: what `recall` wants. */
  readonly texts: ReadonlyMap<string, string>;

  private constructor(
    tls: TlsFiles,
    credentials: CredentialFiles,
    interceptions: Interceptions,
    read: ReadonlyMap<string, string>,
    before: NamedFiles | null,
  ) {
    this.tls = tls;
    this.credentials = credentials;
    this.interceptions = interceptions;
    const texts = new Map(read);
    for (const { files } of this.#problems) for (const file of files) texts.set(file, before?.texts.get(file) ?? "");
    this.texts = texts;
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
    return NamedFiles.#load(config, around, before, new FileTexts());
  }

  /** As they were when somebody else had read them; null: something that is named now was not. */
  static async recall(
    config: Config,
    around: InterceptionSurroundings,
    texts: ReadonlyMap<string, string>,
  ): Promise<NamedFiles | null> {
    try {
      return await NamedFiles.#load(config, around, null, new FileTexts(texts));
    } catch (error) {
      if (error instanceof SetupError) return null;
      throw error;
    }
  }

  static async #load(
    config: Config,
    around: InterceptionSurroundings,
    before: NamedFiles | null,
    texts: FileTexts,
  ): Promise<NamedFiles> {
    const tls = await TlsFiles.load(config, before?.tls, texts);
    const credentials = await CredentialFiles.load(config, before?.credentials, texts);
    const interceptions = await Interceptions.load(config, around, before?.interceptions, texts);
    return new NamedFiles(tls, credentials, interceptions, texts.texts, before);
  }

  get #problems(): readonly FileProblem[] {
    return [...this.tls.problems, ...this.credentials.problems, ...this.interceptions.problems];
  }

  /** What to tell the operator of files that have changed: those that were taken, and why others were not; null: there are none. */
  describe(changed: readonly string[]): { readonly taken: string | null; readonly refused: string | null } {
    const problems = this.#problems;
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
