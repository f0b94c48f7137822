/**
 * The JSON Schema of the file, and what it knows at a path: the names that may stand there. Unknown names are compared
 * with these, and fields that belong elsewhere are told apart from mistakes.
 */
import { z } from "zod";
import { formatPath, type Path } from "./problems.ts";
import { configSchema } from "./schema.ts";

/** The parts of a JSON Schema (draft 2020-12) that ours has. */
export interface JsonSchema {
  $schema?: string;
  $id?: string;
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  title?: string;
  description?: string;
  default?: unknown;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  minProperties?: number;
  maxProperties?: number;
  anyOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  propertyNames?: JsonSchema;
  additionalProperties?: boolean | JsonSchema;
  required?: string[];
  codeOnly?: boolean;
}

let cachedFile: JsonSchema | null = null;

/** The schema of what a file may hold, without what only a program can: plugins and functions. */
export function fileSchema(): JsonSchema {
  cachedFile ??= makeSchema(false);
  return cachedFile;
}

/** The same with plugins and functions, as schemas that have nothing but `codeOnly` and a description. */
export function programSchema(): JsonSchema {
  return makeSchema(true);
}

function makeSchema(withCode: boolean): JsonSchema {
  return z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-2020-12",
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      const schema = jsonSchema as JsonSchema & { fileDefault?: unknown };
      if (schema.fileDefault !== undefined) schema.default = schema.fileDefault;
      delete schema.fileDefault;
      if (!withCode) dropCode(schema);
    },
  }) as JsonSchema;
}

/** Leaves out what is marked `codeOnly`. */
function dropCode(schema: JsonSchema): void {
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (property.codeOnly === true) delete schema.properties?.[name];
  }
  schema.anyOf &&= schema.anyOf.filter((alternative) => alternative.codeOnly !== true);
}

/** All names that the blocks at a path know, whichever of its forms is meant. */
export function knownFields(path: Path): readonly string[] {
  const root = fileSchema();
  const names = fieldsAt(path, root)
    .flatMap((block) => alternatives(block, root))
    .flatMap((block) => Object.keys(block.properties ?? {}));
  return [...new Set(names)];
}

/** A schema without references and choices: what it may be in the end. */
export function alternatives(schema: JsonSchema, root: JsonSchema): readonly JsonSchema[] {
  if (schema.$ref !== undefined) {
    const target = root.$defs?.[schema.$ref.replace("#/$defs/", "")];
    return target === undefined ? [] : alternatives(target, root);
  }
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap((choice) => alternatives(choice, root));
}

/** Whether a field takes text of the kind that has this name among the schema's definitions. */
export function takesKind(path: Path, kind: string): boolean {
  const isKind = (field: JsonSchema): boolean =>
    field.$ref === `#/$defs/${kind}` || (field.anyOf?.some(isKind) ?? false);
  return fieldsAt(path, fileSchema()).some(isKind);
}

/** Whether the keys of the mapping there are names of header fields. */
export function hasFieldNames(path: Path): boolean {
  const root = fileSchema();
  return fieldsAt(path, root)
    .flatMap((field) => alternatives(field, root))
    .some(({ propertyNames }) => /\/(fieldName|settableFieldName)$/.test(propertyNames?.$ref ?? ""));
}

function fieldsAt(path: Path, root: JsonSchema): readonly JsonSchema[] {
  let fields = [root];
  for (const step of path) {
    fields = fields.flatMap((field) => alternatives(field, root)).flatMap((block) => childOf(block, step));
  }
  return fields;
}

function childOf(schema: JsonSchema, step: string | number): readonly JsonSchema[] {
  if (typeof step === "number") return schema.items === undefined ? [] : [schema.items];
  const property = schema.properties?.[step];
  if (property !== undefined) return [property];
  return typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [];
}

/** Fields that are no spelling mistakes: they belong to another block. */
const ELSEWHERE: readonly (readonly [path: RegExp, message: string])[] = [
  [
    /\.routes\[\d+\]\.limits\.(head|requestLine|fields|headTimeout|idle)$/,
    "is a limit of a server: it applies before a route is chosen",
  ],
  [/\.routes\[\d+\]\.timeouts\.(connect|idle|lifetime)$/, 'belongs to "timeouts" in "proxy": { to, timeouts }'],
  [
    /\.use\[\d+\]\.name$/,
    "only a plugin has a name, and at least one hook, which is a function, in a headgate.ts or a program",
  ],
  [/^(global|defaults|events)$/, "is no block of its own: its settings stand at the top of the file"],
  [
    /\.use\[\d+\]\.headers\.[A-Za-z]+-[\w-]+$/,
    'is the name of a field: write request: { set: { NAME: VALUE } }, or the same with "response"',
  ],
  [
    /\.use\[\d+\]\.headers\.(request|response)\.[A-Za-z]+-[\w-]+$/,
    "is the name of a field: write set: { NAME: VALUE }",
  ],
  [/^forward$/, "belongs to a server: servers: { NAME: { listen, forward } }"],
  [/^servers\.[^.[]+\.match$/, "belongs to a route: write routes: [{ match: ... }]"],
  [/^servers\.[^.[]+(\.routes\[\d+\])?\.(websockets?|webSockets?|web_sockets?)$/, "is always so: leave it out"],
  [
    /\.cache\.(dir|directory|path|folder|size|maxSize|memory|minFree|inactive|shared)$/,
    'belongs to the cache that "store" names: caches: { NAME: { directory, size, ... } }',
  ],
  [
    /(^caches\.[^.[]+|\.cache)\.(ttl|maxAge|max_age|expires?|for|valid|status)$/,
    "how long answers are fresh is said by rules of `cache`: rules: [{ status: 200, for: 1d }]",
  ],
  [/\.cache\.(lock|lockTimeout|lock_timeout|collapse|coalesce|revalidate)$/, "is always so: leave it out"],
  [/^caches\.[^.[]+\.(levels|keysZone|keys_zone|use_temp_path)$/, "is nothing that this cache needs: leave it out"],
  [/\.cache\.ignore$/, "belongs to a rule: rules: [{ ignore: [cache-control] }]"],
  [/\.cache\.vary$/, 'belongs to "key": key: { headers: [accept-language] }'],
];

/** What to say of an unknown field instead of "unknown field"; null when there is nothing. */
export function whereItBelongs(path: Path): string | null {
  const text = formatPath(path);
  return ELSEWHERE.find(([pattern]) => pattern.test(text))?.[1] ?? null;
}
