// The architecture of src as data: who may import whom, and what may appear where. violations.ts applies it, and
// ARCHITECTURE.md shows the same table (architecture-document.test.ts compares them).
//
// A pattern is a path below src without `.ts`; it covers that file, or everything in that folder. `*` stands for one
// name.

export interface Layer {
  folder: string;
  /** What may be imported; the files of the folder itself always may. */
  imports: readonly string[];
  /** What may only be imported with `import type`. */
  types: readonly string[];
}

const optionsFiles = ["*/options", "*/*/options"];

export const layers: readonly Layer[] = [
  { folder: "core", imports: [], types: [] },
  { folder: "protocol", imports: ["core"], types: [] },
  { folder: "semantics", imports: ["core"], types: [] },
  { folder: "pipeline", imports: ["core", "protocol", "semantics"], types: [] },
  { folder: "upstreams", imports: ["core", "semantics", "protocol"], types: ["pipeline"] },
  { folder: "forward", imports: ["core", "semantics", "protocol", "identity", "upstreams"], types: ["pipeline"] },
  { folder: "identity", imports: ["core", "semantics"], types: [] },
  { folder: "caching", imports: ["core", "semantics"], types: ["pipeline", "identity/stores"] },
  {
    folder: "features",
    imports: ["core", "semantics", "identity", "caching"],
    types: ["pipeline/phases", "pipeline/exchange", "pipeline/body", "pipeline/fork", "pipeline/forwarding"],
  },
  { folder: "io", imports: ["core", "protocol"], types: ["caching"] },
  { folder: "config", imports: ["core", ...optionsFiles], types: [] },
  { folder: "admin", imports: ["core", "config"], types: ["*"] },
  {
    folder: "server",
    imports: [
      "core",
      "protocol",
      "semantics",
      "pipeline",
      "upstreams",
      "forward",
      "identity",
      "caching",
      "features",
      "io",
      "config",
      "admin",
    ],
    types: [],
  },
  { folder: "cli", imports: ["server", "config"], types: ["caching"] },
  { folder: "testing", imports: ["core", "protocol", "pipeline", "upstreams", "caching"], types: [] },
];

/** Each folder in here is a layer of its own: no feature imports another. */
export const foldersOfPeers: readonly string[] = ["features"];

/** The public API; it holds re-exports and nothing else, so it may name any file. */
export const publicApi = "index";

/** What is run or imported from outside. A file of src that none of them reaches is dead. */
export const entryPoints: readonly string[] = ["index", "cli/main", "testing/index"];

/** Entries that no import names: worker threads, and what a script of scripts/ runs. */
export const furtherEntryPoints: readonly string[] = ["config/docs", "server/threads/worker"];

/** Where modules of Node, its globals, and `import()` of a computed path may appear. */
export const nodeModules: readonly string[] = [
  "io",
  "server",
  "admin",
  "cli",
  "pipeline/drivers/node-http",
  "config/load",
];

/** Computation without a machine behind it; it may appear everywhere but in the folders named in `notIn`. */
export const computingModules = { names: ["node:crypto", "node:zlib"], notIn: ["core"] } as const;

/** Which npm packages may appear where. What a request passes through depends on none. */
export const packages: Readonly<Record<string, readonly string[]>> = {
  "@node-rs/argon2": ["io"],
  "@node-rs/bcrypt": ["io"],
  "@peculiar/x509": ["forward"],
  commander: ["cli"],
  jose: ["identity"],
  lmdb: ["io"],
  "openid-client": ["features/oidc"],
  redis: ["io"],
  "reflect-metadata": ["forward"],
  pino: ["server", "io"],
  yaml: ["config"],
  zod: ["config", "core/option-addresses", "core/option-files", "core/option-types", ...optionsFiles],
};

export interface BannedGlobal {
  /** Globals, or `object.member`; `new Date()` and `Date()` without arguments are told as `Date()`. */
  names: readonly string[];
  /** Where the ban holds, or everywhere but in `notIn`. */
  in?: readonly string[];
  notIn?: readonly string[];
  instead: string;
}

export const bannedGlobals: readonly BannedGlobal[] = [
  {
    names: ["Date.now", "Date()", "performance.now", "Math.random"],
    in: ["core", "protocol", "semantics", "pipeline", "upstreams", "forward", "identity", "caching", "features"],
    instead: "the Clock and Random of core/ports.ts, so that tests can drive time and chance",
  },
  {
    names: ["setTimeout", "setInterval"],
    notIn: ["io", "testing", "server", "cli"],
    instead: "the deadlines of core/, one timer for all",
  },
  // Who tests a plugin has no log, and reads what the test runner shows.
  { names: ["console"], notIn: ["cli", "testing/test-proxy"], instead: "the application log" },
  {
    names: ["process", "require", "__dirname", "__filename"],
    notIn: nodeModules,
    instead: "a port from core/ports.ts",
  },
];

/** Names that say nothing, as a file, a folder or a part of one (`body-utils`). Name what the thing is for. */
export const bannedNames: readonly string[] = [
  "util",
  "utils",
  "utilities",
  "helper",
  "helpers",
  "common",
  "manager",
  "misc",
];
