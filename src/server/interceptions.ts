/**
 * What servers intercept with: each one's authority, read before anything is opened, and the certificates of hosts, which stay
 * through reloads. Who intercepts nothing never loads the library that makes certificates.
 */
import { defaultAuthorityFolder, defaultLeafFolder } from "../config/authority-folders.ts";
import type { Config, ServerConfig } from "../config/config.ts";
import type { DeadlineWheel } from "../core/deadlines.ts";
import { TLS_HANDSHAKE_TIMEOUT_MS } from "../core/limits.ts";
import type { Clock, Kept, TlsLayer } from "../core/ports.ts";
import { Interception, type LeafSource, type TunnelDialer } from "../forward/interception/interception.ts";
import { HostSet } from "../forward/rules/hosts.ts";
import type { FileTexts } from "../io/file-texts.ts";
import { folderOwner, pathsOfAuthority } from "./authority-folder.ts";
import { type FileProblem, unlessKept } from "./file-problem.ts";
import type { LoadedAuthority } from "./interception-authority.ts";
import { SetupError } from "./setup-error.ts";

export interface InterceptionSurroundings {
  readonly clock: Clock;
  readonly deadlines: DeadlineWheel;
  readonly tls: TlsLayer;
  /** A sentence for the log. */
  tell(message: string): void;
}

interface Loaded {
  readonly leaves: (kept: Kept) => LeafSource;
  readonly authority: LoadedAuthority;
}

/** The one that the configuration names, or the usual one. */
export function authorityFolder(named: string | null): string {
  return named ?? defaultAuthorityFolder(folderOwner());
}

/** null: the server intercepts nothing. */
async function authorityOf(
  { name, forward }: ServerConfig,
  clock: Clock,
  texts?: FileTexts,
): Promise<LoadedAuthority | null> {
  const intercept = forward?.intercept ?? null;
  if (intercept === null) return null;
  const { loadAuthority } = await import("./interception-authority.ts");
  const place = ["servers", name, "forward", "intercept", "ca"];
  return await loadAuthority(authorityFolder(intercept.ca), intercept.hosts, place, clock, texts);
}

export class Interceptions {
  readonly #around: InterceptionSurroundings;
  readonly #loaded = new Map<string, Loaded>();
  /** Of authorities that cannot be used now and are here what they were before. */
  readonly problems: FileProblem[] = [];

  private constructor(around: InterceptionSurroundings) {
    this.#around = around;
  }

  /** The files that a configuration names. */
  static pathsOf({ servers }: Config): readonly string[] {
    const folders = servers.flatMap(({ forward }) => {
      const intercept = forward?.intercept ?? null;
      return intercept === null ? [] : [authorityFolder(intercept.ca)];
    });
    return [...new Set(folders)].flatMap(pathsOfAuthority);
  }

  /** Rejects with a SetupError; authorities that `before` has are kept as they were there. */
  static async load(
    { servers }: Config,
    around: InterceptionSurroundings,
    before: Interceptions | null = null,
    texts?: FileTexts,
  ): Promise<Interceptions> {
    const interceptions = new Interceptions(around);
    for (const server of servers) {
      const loaded = await interceptions.#load(server, texts).catch((error: unknown) => {
        if (!(error instanceof SetupError)) throw error;
        const kept = before === null ? null : (before.#loaded.get(server.name) ?? null);
        const files = pathsOfAuthority(authorityFolder(server.forward?.intercept?.ca ?? null));
        for (const problem of error.problems) {
          interceptions.problems.push({ ...problem, files, isKept: kept !== null });
        }
        return kept;
      });
      if (loaded !== null) interceptions.#loaded.set(server.name, loaded);
    }
    unlessKept(interceptions.problems);
    return interceptions;
  }

  async #load(server: ServerConfig, texts: FileTexts | undefined): Promise<Loaded | null> {
    const around = this.#around;
    const found = await authorityOf(server, around.clock, texts);
    if (found === null) return null;
    const { authority } = found;
    const { leavesOf } = await import("./interception-authority.ts");
    const folder = server.forward?.intercept?.leaves ?? defaultLeafFolder(folderOwner());
    const identity = { folder, authority: authority.certificate.x509.fingerprint256 };
    const make = () => leavesOf(authority, folder, around.clock, (message) => around.tell(message));
    return { leaves: (kept) => kept("leaves", identity, make), authority: found };
  }

  /** What a start would warn of. Rejects with a SetupError where it would fail. */
  static async warningsOf({ servers }: Config, clock: Clock): Promise<readonly string[]> {
    const loaded = await Promise.all(servers.map((server) => authorityOf(server, clock)));
    return loaded.flatMap((one) => one?.warningsAt(clock.wallMs()) ?? []);
  }

  /** At that time of the wall clock. */
  warningsAt(wallMs: number): readonly string[] {
    return [...this.#loaded.values()].flatMap(({ authority }) => authority.warningsAt(wallMs));
  }

  /** null: the server intercepts nothing. */
  of({ name, forward }: Config["servers"][number], tunnels: TunnelDialer, kept: Kept): Interception | null {
    const loaded = this.#loaded.get(name);
    const intercept = forward?.intercept ?? null;
    if (loaded === undefined || intercept === null) return null;
    const { tls, deadlines } = this.#around;
    return new Interception({
      hosts: new HostSet(intercept.hosts),
      except: new HostSet(intercept.except),
      ports: intercept.ports,
      leaves: loaded.leaves(kept),
      tls,
      tunnels,
      deadlines,
      handshakeTimeoutMs: TLS_HANDSHAKE_TIMEOUT_MS,
    });
  }
}
