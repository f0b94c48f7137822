/**
 * Placeholders of nginx, Caddy, HAProxy and Apache, and what is called so here: `$host` is `{host}`. The one place that knows them, and
 * in which texts of a file which words in braces mean something. What cannot be meant is refused by the kind of text itself; what is
 * possible, and hardly meant, is found by `placeholderWarnings`.
 */
import { REQUEST_PARTS, URL_PARTS } from "../core/request-template.ts";
import { ACCESS_FIELDS, parseAccessField } from "./access-fields.ts";
import { isPlugin } from "./code.ts";
import { type Finding, nearest, type Path } from "./problems.ts";

/** By what it is here, as it is written in text. */
export const FOREIGN_PLACEHOLDERS: Readonly<Record<string, string>> = {
  "{client}":
    "$remote_addr $realip_remote_addr $binary_remote_addr $proxy_add_x_forwarded_for {remote_host} {remote} {remote_ip} {client_ip} {http.request.remote} {http.request.remote.host} {http.vars.client_ip} %[src] %{REMOTE_ADDR}",
  "{host}":
    "$host $http_host $server_name {hostport} {http.request.host} {http.request.hostport} %[hdr(host)] %[req.hdr(host)] %{HTTP_HOST} %{SERVER_NAME}",
  "{scheme}": "$scheme {http.request.scheme} %{REQUEST_SCHEME}",
  "{uri}": "$request_uri {http.request.uri} {http.request.orig_uri} %[url] %[pathq] %{REQUEST_URI}",
  "{path}": "$uri $document_uri {http.request.uri.path} %[path]",
  "{query}": "$args $query_string {http.request.uri.query} %[query] %{QUERY_STRING}",
  "?": "$is_args",
  "{method}": "$request_method {http.request.method} %[method] %{REQUEST_METHOD}",
  "{protocol}": "$server_protocol {http.request.proto}",
  "{method} {uri} {protocol}": "$request",
  "{status}": "$status {http.response.status}",
  "{user}": "$remote_user {http.auth.user.id} %{REMOTE_USER}",
  "{time}": "$time_local $time_iso8601 $msec",
  "{durationMs}": "$request_time",
  "{requestBytes}": "$request_length",
  "{responseBytes}": "$body_bytes_sent $bytes_sent",
  "{upstreamAddress}": "$upstream_addr {http.reverse_proxy.upstream.address}",
  "{upstreamMs}": "$upstream_response_time $upstream_header_time",
  "{cache}": "$upstream_cache_status",
  "{tls}": "$ssl_protocol {tls_version}",
  "{serverName}": "$ssl_server_name",
};

const OWN = new Map(
  Object.entries(FOREIGN_PLACEHOLDERS).flatMap(([own, words]) => words.split(" ").map((word) => [word, own])),
);

/** Also `${name}`, which is a reference to the environment here, when there is none of that name; `$$` is a dollar sign to many. */
const PLACEHOLDER = /(?<!\$)\$\{?[a-z]\w*\}?|%\[[^\]]{1,40}\]|%\{\w+\}|\{[A-Za-z][\w.:-]*\}/g;

/** What it is called here, in braces; null when nobody calls so what there is here. */
function ownOf(placeholder: string): string | null {
  const plain = placeholder.replace(/^\$\{(\w+)\}$/, "$$$1");
  const own = OWN.get(plain);
  if (own !== undefined) return own;
  const header = /^\$http_(\w+)$|^\{(?:http\.request\.)?header\.([\w-]+)\}$/.exec(plain);
  if (header !== null) return `{header:${(header[1] ?? header[2] ?? "").replaceAll("_", "-").toLowerCase()}}`;
  const sent = /^\$sent_http_(\w+)$/.exec(plain)?.[1];
  return sent === undefined ? null : `{responseHeader:${sent.replaceAll("_", "-")}}`;
}

/** A text in which words in braces mean something, or might be taken to. */
interface Place {
  readonly has: (word: string) => boolean;
  /** For suggestions; empty: no word means anything. */
  readonly words: readonly string[];
  /** Messages show no more of it than the placeholder. */
  readonly isSecret?: boolean;
  /** What becomes of other placeholders. */
  readonly otherwise: string;
  /** What to do, where no word here says what is meant. */
  readonly advice: string;
}

const SENT = "is sent as it stands";
const PARTS_ELSEWHERE = "parts of the request are filled in only by redirect and by headers.request";

function placeWith(words: readonly string[], rest: Pick<Place, "isSecret">): Place {
  const advice = `the words here are ${joinAnd(words.map(braced))}`;
  return { words, has: (word) => words.includes(word), otherwise: SENT, advice, ...rest };
}

function placeWithout(otherwise: string, advice: string, rest: Pick<Place, "isSecret">): Place {
  return { words: [], has: () => false, otherwise, advice, ...rest };
}

const REDIRECT = placeWith(URL_PARTS, {});
const FORMAT: Place = {
  words: Object.keys(ACCESS_FIELDS),
  has: (word) => parseAccessField(word) !== null,
  otherwise: "is written as it stands",
  advice: "the access log has no field for it",
};
const FIELD_OF_REQUEST = placeWith(REQUEST_PARTS, { isSecret: true });
const FIELD_OF_ANSWER = placeWithout(SENT, PARTS_ELSEWHERE, { isSecret: true });
const BODY = placeWithout(SENT, PARTS_ELSEWHERE, {});
const REWRITTEN = placeWithout(
  "becomes text of the path",
  'what is kept of the path are groups of "match", $1 or $<name>',
  {},
);

/** Where they stand in a file: "*" is any name, and the items of a list are where the list is. */
interface Block {
  readonly text?: Place;
  readonly fields?: Readonly<Record<string, Block>>;
}

function changesWith(text: Place): Block {
  return { fields: { set: { fields: { "*": { text } } }, add: { fields: { "*": { text } } } } };
}

const USE: Block = {
  fields: {
    headers: { fields: { request: changesWith(FIELD_OF_REQUEST), response: changesWith(FIELD_OF_ANSWER) } },
    rewrite: { fields: { to: { text: REWRITTEN } } },
  },
};

const ROUTE_FIELDS: Readonly<Record<string, Block>> = {
  use: USE,
  redirect: { text: REDIRECT, fields: { to: { text: REDIRECT } } },
  respond: { fields: { headers: { fields: { "*": { text: FIELD_OF_ANSWER } } }, body: { text: BODY } } },
};

const FILE: Block = {
  fields: {
    log: { fields: { access: { fields: { format: { text: FORMAT } } } } },
    servers: {
      fields: {
        "*": { fields: { ...ROUTE_FIELDS, routes: { fields: ROUTE_FIELDS }, forward: { fields: { use: USE } } } },
      },
    },
  },
};

function blockBelow(block: Block | undefined, step: string): Block | undefined {
  const fields = block?.fields;
  return fields !== undefined && Object.hasOwn(fields, step) ? fields[step] : fields?.["*"];
}

/** Whether a field is text in which words in braces mean something, or might be taken to. */
export function takesPlaceholders(path: Path): boolean {
  return placeAt(path) !== null;
}

function placeAt(path: Path): Place | null {
  let block: Block | undefined = FILE;
  for (const step of path) if (typeof step === "string") block = blockBelow(block, step);
  return block?.text ?? null;
}

/** The text with our words for those of others; null when there are none, or one has no word there. */
function translated(text: string, at: Place): string | null {
  let isComplete = true;
  const result = text.replace(PLACEHOLDER, (placeholder) => {
    const word = wordOf(placeholder);
    if (word !== null && at.has(word)) return placeholder;
    const meant = meantBy(placeholder, at);
    if (meant !== null && wordsIn(meant).every(at.has)) return meant;
    isComplete = false;
    return placeholder;
  });
  return isComplete && result !== text ? result : null;
}

/** "host" of "{host}"; null: it is written in another way. */
function wordOf(placeholder: string): string | null {
  return /^\{(.*)\}$/.exec(placeholder)?.[1] ?? null;
}

function braced(word: string): string {
  return `{${word}}`;
}

function wordsIn(text: string): readonly string[] {
  return [...text.matchAll(/\{([^{}]+)\}/g)].map(([, word]) => word ?? "");
}

function joinAnd(words: readonly string[]): string {
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** What is meant by a redirect in whose text there are others' placeholders, or misspelled ones; null: nobody knows. */
export function suggestRedirect(text: string): string | null {
  return translated(text, REDIRECT);
}

/** The same for a format of the access log. What begins with `%h` is one of Apache's, which are mostly the one that has a name. */
export function suggestFormat(text: string): string | null {
  return /^%[ah] %l %u /.test(text) ? "combined" : translated(text, FORMAT);
}

/** The first placeholder of others in a text; null: there is none. */
export function foreignIn(text: string): string | null {
  return text.match(PLACEHOLDER)?.find((placeholder) => ownOf(placeholder) !== null) ?? null;
}

/** What is meant by a value at a path, of which references to the environment lead nowhere; null: nobody knows. */
export function suggestPlaceholders(path: Path, text: string): string | null {
  const at = placeAt(path);
  return at === null || at.isSecret === true ? null : translated(text, at);
}

/** Of each text in which a placeholder of others, or one that is misspelled or in a wrong place, is taken as it stands. */
export function placeholderWarnings(root: unknown): readonly Finding[] {
  return warningsIn(root, [], FILE);
}

function warningsIn(value: unknown, path: Path, block: Block): readonly Finding[] {
  if (typeof value === "string") return block.text === undefined ? [] : warningsOf(value, path, block.text);
  if (Array.isArray(value)) {
    // No list of ours has lists in it.
    return value.flatMap((item, index) => (Array.isArray(item) ? [] : warningsIn(item, [...path, index], block)));
  }
  if (typeof value !== "object" || value === null || isPlugin(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const below = blockBelow(block, name);
    return below === undefined ? [] : warningsIn(inner, [...path, name], below);
  });
}

/** One is enough for a text. */
function warningsOf(text: string, path: Path, at: Place): readonly Finding[] {
  // A page may have a script in it, whose variables these are.
  if (at === BODY && /[\n<]/.test(text)) return [];
  for (const match of text.matchAll(PLACEHOLDER)) {
    const [placeholder] = match;
    const isEscaped = text[match.index - 1] === "{" && text[match.index + placeholder.length] === "}";
    const meant = isEscaped ? null : meantBy(placeholder, at);
    if (meant === null) continue;
    const message = `${placeholder} ${at.otherwise}`;
    if (!wordsIn(meant).every(at.has)) return [{ path, at: "value", message: `${message}: ${at.advice}` }];
    const suggestion = at.isSecret === true ? meant : (translated(text, at) ?? meant);
    return [{ path, at: "value", message, suggestion }];
  }
  return [];
}

/** null: it means what it says, or nothing that is known. */
function meantBy(placeholder: string, { has, words }: Place): string | null {
  const word = wordOf(placeholder);
  if (word !== null && has(word)) return null;
  const own = ownOf(placeholder);
  if (own !== null || word === null) return own;
  if ((REQUEST_PARTS as readonly string[]).includes(word)) return placeholder;
  const near = nearest(word, words);
  return near === null ? null : braced(near);
}
