/** The files of users and keys that a configuration names. Every line that cannot be used is told with its place in the configuration. */
import type { Config, ServerConfig, UseConfig } from "../config/config.ts";
import { parseApiKeys } from "../identity/api-keys.ts";
import { parseHtpasswd, type ReadLines } from "../identity/htpasswd.ts";
import type { PasswordHash } from "../identity/password-hash.ts";
import { FileTexts } from "../io/file-texts.ts";
import { readTextFile } from "../io/text-file.ts";
import { type FileProblem, unlessKept } from "./file-problem.ts";
import type { SetupProblem } from "./setup-error.ts";

/** A hundred thousand users; a larger file is most likely another one. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;

/** One `file` of one feature. */
interface NamedFile {
  readonly feature: "basicAuth" | "apiKey";
  readonly path: string;
  /** Where it stands in the configuration. */
  readonly place: SetupProblem["path"];
}

export class CredentialFiles {
  /** For who only looks at a configuration: every file is empty. */
  static readonly unread = new CredentialFiles();
  readonly #users = new Map<string, ReadonlyMap<string, PasswordHash>>();
  readonly #keys = new Map<string, ReadonlyMap<string, string>>();
  /** Of files that cannot be used now and have here what they held before. */
  readonly problems: FileProblem[] = [];

  /** The files that a configuration names. */
  static pathsOf(config: Config): readonly string[] {
    return [...new Set(namedFiles(config).map(({ path }) => path))];
  }

  /** Rejects with a SetupError that names every line that cannot be used; files that `before` has are kept as they were there. */
  static async load(
    config: Config,
    before = CredentialFiles.unread,
    texts = new FileTexts(),
  ): Promise<CredentialFiles> {
    const files = new CredentialFiles();
    for (const { feature, path, place } of namedFiles(config)) {
      const found =
        feature === "basicAuth"
          ? await load(path, parseHtpasswd, files.#users, before.#users, texts)
          : await load(path, parseApiKeys, files.#keys, before.#keys, texts);
      const isKept = (feature === "basicAuth" ? files.#users : files.#keys).has(path);
      for (const words of found) {
        files.problems.push({ path: place, message: `${path}: ${words}`, files: [path], isKept });
      }
    }
    unlessKept(files.problems);
    return files;
  }

  /** Of a file of `basicAuth`: hashes by name. */
  users(path: string): ReadonlyMap<string, PasswordHash> {
    return this.#users.get(path) ?? new Map();
  }

  /** Of a file of `apiKey`: digests by name. */
  keys(path: string): ReadonlyMap<string, string> {
    return this.#keys.get(path) ?? new Map();
  }
}

/** Reads a file that was not read yet; what is wrong with it, and then it stays as it was before. */
async function load<T>(
  path: string,
  parse: (text: string) => ReadLines<T>,
  into: Map<string, ReadonlyMap<string, T>>,
  before: ReadonlyMap<string, ReadonlyMap<string, T>>,
  texts: FileTexts,
): Promise<readonly string[]> {
  if (into.has(path)) return [];
  let problems: readonly string[];
  try {
    const read = parse(await texts.of(path, () => readTextFile(path, FILE_BYTES_MAX)));
    if (read.problems.length === 0) into.set(path, read.entries);
    problems = read.problems;
  } catch (error) {
    problems = [(error as Error).message];
  }
  const kept = before.get(path);
  if (problems.length > 0 && kept !== undefined) into.set(path, kept);
  return problems;
}

function namedFiles(config: Config): readonly NamedFile[] {
  return config.servers.flatMap((server) => [
    ...filesOfForward(server),
    ...server.routes.flatMap(({ name, use }, index) => {
      // A server that is its own route has the name of the server.
      const route = name === server.name ? ["servers", server.name] : ["servers", server.name, "routes", index];
      return use.flatMap((item, at) => namedFile(item, [...route, "use", at]));
    }),
  ]);
}

function filesOfForward({ name, forward }: ServerConfig): readonly NamedFile[] {
  if (forward === null) return [];
  const place = ["servers", name, "forward"];
  const path = forward.auth?.file ?? null;
  const own: NamedFile[] =
    path === null ? [] : [{ feature: "basicAuth", path, place: [...place, "auth", "basic", "file"] }];
  return [...own, ...forward.use.flatMap((item, at) => namedFile(item, [...place, "use", at]))];
}

function namedFile(item: UseConfig, place: SetupProblem["path"]): readonly NamedFile[] {
  if (item.feature !== "basicAuth" && item.feature !== "apiKey") return [];
  const { file } = item.options;
  if (file === undefined) return [];
  return [{ feature: item.feature, path: file, place: [...place, item.feature, "file"] }];
}
