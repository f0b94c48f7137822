/**
 * `headgate session`: put, get, delete and list the sessions of a store. Secrets come from files and standard input, and are shown
 * only to who brings the key that decrypts them.
 */
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import type { Credentials, SessionOperator } from "../server/session-operator.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";
import { chooseConfigFile, loadConfigFile } from "./config-file.ts";
import { withoutControls } from "./status-report.ts";

interface WhichStore {
  readonly store?: string;
  readonly config?: string;
}

interface PutOptions extends WhichStore {
  readonly encryptKey: string;
  readonly basic?: string;
  readonly bearer?: string;
  readonly json?: string;
  readonly ttl?: string;
}

const EXAMPLES = `
Examples:
  headgate session put alice-1 --store redis://127.0.0.1:6379 --encrypt-key key --basic - --ttl 8h < user-and-password
  headgate session list --store lmdb:/var/lib/headgate/sessions
  headgate session delete alice-1 --store logins --config headgate.yaml`;

export function addSessionCommands(program: Command): void {
  const session = program
    .command("session")
    .description("put, show, delete and list the sessions of a store")
    .addHelpText("after", EXAMPLES);
  const add = (name: string, description: string): Command =>
    session
      .command(name)
      .description(description)
      .option("--store <store>", "a URL, or a name in the configuration; otherwise the one store that it has")
      .option("--config <file>", "the configuration that names the store; otherwise the one in the current folder");

  add("put", "write a session as a login does")
    .argument("<key>", "the key under which it is looked up")
    .requiredOption("--encrypt-key <file>", "the key of 256 bits that encrypts the credentials")
    .option("--basic <user:password>", "what the upstream gets as Basic; - reads it from standard input")
    .option("--bearer <token>", "what the upstream gets as Bearer; - reads it from standard input")
    .option("--json <object>", "members for header fields of any name; - reads it from standard input")
    .option("--ttl <duration>", "how long it lives, such as 8h; otherwise until it is deleted")
    .action(put);

  add("get", "say what a session is; its credentials only with the key")
    .argument("<key>", "the key under which it is looked up")
    .option("--decrypt-key <file>", "show the credentials, decrypted with this key; may be repeated", collect, [])
    .action(get);

  add("delete", "end a session")
    .argument("<key>", "the key under which it is looked up")
    .action(async (key: string, which: WhichStore) => {
      const wasThere = await withStore(which, (operator) => operator.delete(key), false);
      if (!wasThere) throw noSession(key);
      console.log(`deleted ${shown(key)}`);
    });

  add("list", "list the keys of the sessions, and how long they live")
    .argument("[prefix]", "only those that begin with it", "")
    .action(async (prefix: string, which: WhichStore) => {
      const { leftText } = await operations();
      const print = async (operator: SessionOperator): Promise<void> => {
        for await (const { key, ttlMs } of operator.list(prefix)) console.log(`${shown(key)}\t${leftText(ttlMs)}`);
      };
      await withStore(which, print, undefined);
    });
}

async function put(key: string, options: PutOptions): Promise<void> {
  const { readKeyFile, readTtl, leftText } = await operations();
  const given = (["basic", "bearer", "json"] as const).filter((kind) => options[kind] !== undefined);
  const [kind] = given;
  if (kind === undefined || given.length > 1) {
    throw new CommandError(["error: needs one of --basic, --bearer and --json"], STATUS_USAGE);
  }
  const encryptionKey = await asked(async () => readKeyFile("--encrypt-key", options.encryptKey));
  const ttlMs = await asked(async () => (options.ttl === undefined ? null : readTtl(options.ttl)));
  const credentials: Credentials = { kind, text: await valueOrInput(options[kind]!) };
  await withStore(options, (operator) => operator.put(key, credentials, encryptionKey, ttlMs), undefined, true);
  console.log(`put ${shown(key)}, ${ttlMs === null ? "until it is deleted" : `for ${leftText(ttlMs)}`}`);
}

async function get(
  key: string,
  { decryptKey, ...which }: WhichStore & { decryptKey: readonly string[] },
): Promise<void> {
  const { readKeyFile, leftText } = await operations();
  const keys = await asked(async () => decryptKey.map((file) => readKeyFile("--decrypt-key", file)));
  const session = await withStore(which, (operator) => operator.get(key, keys), null);
  if (session === null) throw noSession(key);
  console.log(`key          ${shown(key)}`);
  console.log(`left         ${leftText(session.leftMs)}`);
  console.log(`value        ${withoutControls(session.description)}`);
  if (session.credentials !== null) console.log(`credentials  ${withoutControls(session.credentials)}`);
}

/** Imported by what needs it: it brings the libraries of the stores along. */
function operations() {
  return import("../server/session-operator.ts");
}

/** Opens the store, does it, and closes the store whatever happens. `nothing` is what a store has that is not there yet. */
async function withStore<T>(
  which: WhichStore,
  work: (operator: SessionOperator) => Promise<T>,
  nothing: T,
  makes = false,
): Promise<T> {
  const { openOperated } = await operations();
  const isUrl = which.store?.includes(":") === true;
  const config = isUrl ? null : (await loadConfigFile(chooseConfigFile(which.config))).config;
  const reference = which.store ?? onlyStore(config?.stores.map(({ name }) => name) ?? []);
  return asked(async () => {
    const operator = await openOperated(reference, config, makes);
    if (operator === null) return nothing;
    try {
      return await work(operator);
    } finally {
      await operator.close();
    }
  });
}

function onlyStore(names: readonly string[]): string {
  const [name] = names;
  if (name !== undefined && names.length === 1) return name;
  const found = names.length === 0 ? "no stores" : `the stores ${names.join(", ")}`;
  throw new CommandError([`error: --store is needed: the configuration has ${found}`], STATUS_USAGE);
}

/** What cannot be done is one line. */
async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError([withoutControls((error as Error).message)], undefined, error);
  }
}

/** The value of a flag, or of standard input without its last line break. */
async function valueOrInput(value: string): Promise<string> {
  return value === "-" ? (await text(process.stdin)).replace(/\r?\n$/, "") : value;
}

function noSession(key: string): CommandError {
  return new CommandError([`no session has the key ${shown(key)}`]);
}

function shown(key: string): string {
  return withoutControls(key);
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
