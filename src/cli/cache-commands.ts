/** `headgate cache`: what the caches of a running proxy hold and save, and what operators have them do. */
import type { Command } from "commander";
import { Option } from "commander";
import type { ListedEntry } from "../caching/operating.ts";
import type { CacheStatus } from "../server/caches/control.ts";
import { answered, askAdmin, print, withProxyOptions } from "./admin-answers.ts";
import type { WhichProxy } from "./admin-endpoints.ts";
import { listReport, statsReport } from "./cache-report.ts";
import { CommandError, STATUS_FAILED, STATUS_USAGE } from "./command-error.ts";
import { formatBytes, withoutControls } from "./status-report.ts";
import type { WarmOptions } from "./warm-command.ts";

const EXAMPLES = `
Examples:
  headgate cache stats
  headgate cache list --search .deb --sort age --limit 20
  headgate cache purge https://mirror.example.org/dists/stable/InRelease
  headgate cache purge --prefix https://mirror.example.org/pool/ --soft
  headgate cache purge --tag release-12
  headgate cache warm urls.txt --parallel 8`;

/** What is purged, beside a URL; each is an option that has a text. */
const KINDS = ["prefix", "host", "wildcard", "tag"] as const;

interface WhichCache extends WhichProxy {
  readonly cache?: string;
}

export function addCacheCommands(program: Command): void {
  const cache = program
    .command("cache")
    .description("say what the caches of the running proxy hold and save; purge, warm and verify them")
    .addHelpText("after", EXAMPLES);
  const add = (name: string, description: string): Command =>
    withProxyOptions(cache.command(name).description(description));
  const ofCache = (command: Command): Command =>
    command.option("--cache <name>", "one cache of the configuration; otherwise all of them");

  add("stats", "say of each cache how requests were served, what that saved, what it holds, and what went and why")
    .option("--json", "all of it, as JSON", false)
    .action(async ({ json, ...which }: WhichProxy & { json: boolean }) => {
      const { body } = await answered(askAdmin("GET", "/cache/stats", which));
      print(json ? [JSON.stringify(body, null, 2)] : statsReport(body.caches as readonly CacheStatus[]));
    });

  ofCache(add("list", "list what is stored"))
    .option("--search <text>", "only what has this text in its URL")
    .addOption(
      new Option("--sort <order>", "the largest, oldest, most used, or soonest stale first")
        .choices(["size", "age", "uses", "expires"])
        .default("size"),
    )
    .option("--limit <n>", "so many at most", "100")
    .option("--json", "all that is known of each, as JSON", false)
    .action(list);

  ofCache(add("purge", "let go of what is stored; nothing of it is served any more when the command returns"))
    .argument("[url]", "what is stored under this URL, in all its variants")
    .option("--prefix <url>", "all URLs that begin so: https://mirror.example.org/pool/")
    .option("--host <host>", "all of a host, on any port; HOST:PORT for one of them")
    .option("--wildcard <pattern>", "all URLs that match, * stands for anything: 'https://*.example.org/*.deb'")
    .option("--tag <tag>", "all that the origin has given this tag")
    .option("--soft", "turn it stale: it is validated, and given stale where that is allowed", false)
    .action(purge);

  add("warm", "fetch URLs through the running proxy, so that they are there before somebody asks")
    .argument("<file>", "a URL a line; lines that are empty or begin with # say nothing; - is standard input")
    .option("--parallel <n>", "so many at a time", "4")
    .option("--server <name>", "the server to ask, when more than one could be meant")
    .option("--auth-file <file>", "USER:PASSWORD for a forward proxy that asks who it is")
    .action(async (file: string, options: WarmOptions) => {
      const { warm } = await import("./warm-command.ts");
      await warm(file, options);
    });

  ofCache(add("verify", "read all that is stored and compare it with its checksums; what is damaged goes"))
    .option("--json", "as JSON", false)
    .action(verify);
}

interface ListOptions extends WhichCache {
  readonly search?: string;
  readonly sort: string;
  readonly limit: string;
  readonly json: boolean;
}

async function list({ search, sort, limit, cache, json, ...which }: ListOptions): Promise<void> {
  const query = new URLSearchParams({
    sort,
    limit,
    ...(search !== undefined && { search }),
    ...(cache !== undefined && { cache }),
  });
  const { body } = await answered(askAdmin("GET", `/cache/list?${query}`, which, AS_LONG_AS_IT_TAKES));
  const caches = body.caches as readonly { name: string; matching: number; entries: readonly ListedEntry[] }[];
  print(json ? [JSON.stringify(body, null, 2)] : listReport(caches));
}

interface PurgeOptions extends WhichCache {
  readonly prefix?: string;
  readonly host?: string;
  readonly wildcard?: string;
  readonly tag?: string;
  readonly soft: boolean;
}

async function purge(url: string | undefined, options: PurgeOptions): Promise<void> {
  const { cache, soft } = options;
  const given = KINDS.flatMap((kind) => (options[kind] === undefined ? [] : [[kind, options[kind]] as const]));
  if (url !== undefined) given.push(["url" as never, url]);
  const [wish] = given;
  if (wish === undefined || given.length > 1) {
    throw new CommandError(
      [
        `error: needs one of a URL, --prefix, --host, --wildcard and --tag${given.length > 1 ? ", and got several" : ": what is to be purged"}`,
      ],
      STATUS_USAGE,
    );
  }
  const body = { [wish[0]]: wish[1], soft, ...(cache !== undefined && { cache }) };
  const answer = await answered(askAdmin("POST", "/cache/purge", options, { body, ...AS_LONG_AS_IT_TAKES }));
  const caches = answer.body.caches as readonly { name: string; entries: number }[];
  for (const { name, entries } of caches) {
    const what = `${entries} ${entries === 1 ? "entry" : "entries"}`;
    print([withoutControls(`${name}: ${soft ? `turned ${what} stale` : `purged ${what}`}`)]);
  }
}

async function verify({ cache, json, ...which }: WhichCache & { readonly json: boolean }): Promise<void> {
  const body = cache === undefined ? {} : { cache };
  const answer = await answered(askAdmin("POST", "/cache/verify", which, { body, ...AS_LONG_AS_IT_TAKES }));
  const caches = answer.body.caches as readonly Verified[];
  if (json) print([JSON.stringify(answer.body, null, 2)]);
  else for (const one of caches) print(verifyLines(one).map(withoutControls));
  // Scripts want to know; nothing is left to be done about it.
  if (caches.some(({ damaged }) => damaged.length > 0)) process.exitCode = STATUS_FAILED;
}

interface Verified {
  readonly name: string;
  readonly entries: number;
  readonly bytes: number;
  readonly damaged: readonly string[];
}

function verifyLines({ name, entries, bytes, damaged }: Verified): readonly string[] {
  const all = entries + damaged.length;
  const size = formatBytes(bytes);
  if (damaged.length === 0) return [`${name}: ${entries} of ${all} entries are as they were stored (${size})`];
  const gone = damaged.length === 1 ? "1 was damaged and is" : `${damaged.length} were damaged and are`;
  return [
    `${name}: ${entries} of ${all} entries are as they were stored (${size}); ${gone} gone:`,
    ...damaged.map((url) => `  ${url}`),
  ];
}

/** A cache of millions of entries is looked through, or read whole. */
const AS_LONG_AS_IT_TAKES = { silenceMsMax: null };
