/**
 * `headgate ca`: makes the CA of interception, and says how clients come to trust it. The key stays in its file: no command shows
 * or copies it.
 */
import os from "node:os";
import path from "node:path";
import { type Command, Option } from "commander";
import { defaultAuthorityFolder } from "../config/authority-folders.ts";
import type { AuthorityOperatorError, MadeAuthority, ShownAuthority } from "../server/authority-operator.ts";
import { CommandError, STATUS_FAILED, STATUS_USAGE } from "./command-error.ts";
import { withoutControls } from "./status-report.ts";
import { quoted, TRUST_PLACES, type TrustPlace, trustInstructions } from "./trust-instructions.ts";

interface InitOptions {
  readonly dir: string;
  readonly hosts?: string;
  readonly name?: string;
  readonly days?: string;
  readonly force: boolean;
}

interface ShowOptions {
  readonly dir: string;
  readonly for?: TrustPlace;
}

const EXAMPLES = `
Examples:
  headgate ca init --hosts '*.example.org,registry.example.net'
  headgate ca show --for debian`;

export function addCaCommands(program: Command): void {
  const uid = process.getuid?.() ?? null;
  const dir = defaultAuthorityFolder({ uid, env: process.env, home: os.homedir() });
  const ca = program
    .command("ca")
    .description("make the CA by which HTTPS is intercepted, and have clients trust it")
    .addHelpText("after", EXAMPLES);

  ca.command("init")
    .description("make a CA: DIR/ca.pem, which clients trust, and DIR/ca.key, its secret key")
    .option("--dir <dir>", "the folder, made when it is missing", dir)
    .option(
      "--hosts <list>",
      "the names and networks that it may certify, such as *.example.org,10.0.0.0/8; otherwise any",
    )
    .option("--name <name>", "what it is called where clients list their CAs")
    .option("--days <n>", "how long it is valid; otherwise five years")
    .option("--force", "make a new CA in place of the one that is there", false)
    .action(async (options: InitOptions) => {
      const { initAuthority } = await operations();
      const { dir: folder, force, ...wish } = options;
      const shown = await asked(() => initAuthority({ ...wish, folder, replaces: force }));
      const note = shown.wider === null ? [] : [`note         ${shown.wider}`];
      print([`made a CA in ${folder}`, "", ...factsOf(shown), ...note, "", ...nextSteps(shown, dir)]);
    });

  ca.command("show")
    .description("say what the CA is, and how clients come to trust it")
    .option("--dir <dir>", "its folder", dir)
    .addOption(new Option("--for <where>", "only how to trust it there").choices(TRUST_PLACES))
    .action(async (options: ShowOptions) => {
      const { showAuthority } = await operations();
      const shown = await asked(() => showAuthority(options.dir));
      const where = options.for ?? null;
      const facts = where === null ? [...factsOf(shown), "", ...TRUST_NOTES] : [];
      const instructions = trustInstructions(shown.certificateFile, where);
      print([...facts, ...(where === null ? instructions : instructions.slice(1))]);
    });
}

/** Imported by what needs it: it brings the library of certificates along. */
function operations() {
  return import("../server/authority-operator.ts");
}

const TRUST_NOTES = [
  "To trust it on another machine, take ca.pem there, and never ca.key.",
  "Compare its SHA-256 there: openssl x509 -in ca.pem -noout -fingerprint -sha256",
];

function factsOf(shown: ShownAuthority): readonly string[] {
  const { constraints, warnings, notBefore, notAfter } = shown;
  return [
    `certificate  ${shown.certificateFile}`,
    `key          ${shown.keyFile}`,
    `subject      ${shown.subject}`,
    `SHA-256      ${shown.fingerprint}`,
    `valid        from ${dayOf(notBefore)} to ${dayOf(notAfter)}`,
    `certifies    ${constraints ?? "any name: whoever has the key can pose as any site to those who trust it"}`,
    ...warnings.map((warning) => `warning      ${warning}`),
  ];
}

function nextSteps(shown: MadeAuthority, defaultDir: string): readonly string[] {
  const dir = path.dirname(shown.certificateFile);
  const flag = dir === path.resolve(defaultDir) ? "" : ` --dir ${quoted(dir)}`;
  const isOpen = shown.hosts.length === 0;
  const hosts = (isOpen ? ["*.example.org"] : shown.hosts).map(yaml).join(", ");
  return [
    "You alone can read the key. If the proxy runs as another user, give the folder to that one:",
    `  chown -R USER ${quoted(dir)}`,
    "Next, have clients trust it:",
    `  headgate ca show${flag} --for ${TRUST_PLACES.slice(0, 4).join("|")}|...`,
    "Then name it in the configuration of the server:",
    "  forward:",
    ...(isOpen ? ["    # In place of *.example.org: the hosts whose HTTPS is to be opened."] : []),
    `    intercept: { hosts: [${hosts}], ca: ${yaml(dir)} }`,
  ];
}

/** A text as it stands within a list or mapping in YAML. */
function yaml(text: string): string {
  return /^[a-z/][\w./-]*$/i.test(text) ? text : JSON.stringify(text);
}

function dayOf(date: Date): string {
  return date.toISOString().slice(0, 10);
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(withoutControls(line));
}

/** What cannot be done is one line. */
async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { message, isUsage } = error as AuthorityOperatorError;
    throw new CommandError([withoutControls(message)], isUsage ? STATUS_USAGE : STATUS_FAILED, error);
  }
}
