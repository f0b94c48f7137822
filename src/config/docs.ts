/**
 * The reference of the configuration as Markdown, made of the schema and of docs-sections.ts. A block that has a section of
 * its own is linked; any other block is shown where it stands, its fields with dotted names.
 */
import { ACCESS_FIELDS } from "./access-fields.ts";
import { DOCS_INTRODUCTION, DOCS_SECTIONS, type DocsSection } from "./docs-sections.ts";
import { alternatives, type JsonSchema, programSchema } from "./known-fields.ts";

export function configurationReference(): string {
  const root = programSchema();
  const values = Object.entries(root.$defs ?? {}).filter(([id, schema]) => isKind(schema) && id !== "sizeText");
  const lines = [
    "<!-- Generated from the schema by scripts/generate-docs.ts. Change the schema's sentences, not this file. -->",
    "",
    "# Configuration",
    "",
    DOCS_INTRODUCTION,
    "## Contents",
    "",
    ...DOCS_SECTIONS.map(({ title, place }) => `- ${link(title)}${place === "top level" ? "" : `: ${place}`}`),
    `- ${link("Kinds of values")}`,
    `- ${link("Fields of the access log")}`,
    "",
    ...DOCS_SECTIONS.flatMap((section) => sectionLines(section, root)),
    "## Kinds of values",
    "",
    "| Kind | What it is |",
    "|---|---|",
    ...values
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([id, schema]) => `| <a id="${kindAnchor(id)}"></a>${words(id)} | ${cell(schema.description ?? "")} |`),
    "",
    "## Fields of the access log",
    "",
    "For `fields` and for templates, where they stand in braces. Besides these, `header:NAME` is a field of the request and `responseHeader:NAME` one of the answer.",
    "",
    "| Field | What it says |",
    "|---|---|",
    ...Object.entries(ACCESS_FIELDS).map(([name, sentence]) => `| \`${name}\` | ${cell(sentence)} |`),
    "",
  ];
  return lines.join("\n");
}

function sectionLines(section: DocsSection, root: JsonSchema): readonly string[] {
  const path = section.paths[0] ?? "";
  const schema = schemaAt(root, path);
  const own = schema.properties === undefined ? [] : rows(schema, path, "", root, section.omit ?? []);
  const description = path === "" ? "" : (schema.description ?? "");
  return [
    `## ${section.title}`,
    "",
    ...[section.place === "top level" ? "" : `*${capital(section.place)}.*`, description, section.text].filter(
      (text) => text !== "",
    ),
    "",
    ...(own.length === 0 ? [] : ["| Field | Type | Default | What it does |", "|---|---|---|---|", ...own, ""]),
    "```yaml",
    section.example.trimEnd(),
    "```",
    "",
  ];
}

/** The block at a path, in its long form, with the sentence of the field that it is. */
function schemaAt(root: JsonSchema, path: string): JsonSchema {
  let schema = root;
  let description = root.description;
  for (const step of path === "" ? [] : path.split(".")) {
    const block = longForm(schema, root, step);
    schema = child(block, step) ?? {};
    description = schema.description ?? longForm(schema, root).description;
  }
  const block = longForm(schema, root);
  return description === undefined ? block : { ...block, description };
}

function child(block: JsonSchema, step: string): JsonSchema | undefined {
  if (step === "#") return block.items;
  if (step === "*") return typeof block.additionalProperties === "object" ? block.additionalProperties : undefined;
  return block.properties?.[step];
}

/** Of the forms of a field, the one that has this child, else the one that has fields. */
function longForm(schema: JsonSchema, root: JsonSchema, step?: string): JsonSchema {
  const forms = alternatives(schema, root);
  const wanted = forms.find((form) =>
    step === undefined ? form.properties !== undefined : child(form, step) !== undefined,
  );
  return wanted ?? forms[0] ?? {};
}

function rows(
  block: JsonSchema,
  path: string,
  prefix: string,
  root: JsonSchema,
  omit: readonly string[],
): readonly string[] {
  return Object.entries(block.properties ?? {}).flatMap(([name, property]) => {
    if (omit.includes(name)) return [];
    const inner = path === "" ? name : `${path}.${name}`;
    const required = block.required?.includes(name) === true;
    const shown = property.default === undefined ? (required ? "required" : "") : defaultText(property.default);
    const type = typeText(property, inner, root);
    const row = `| \`${prefix}${name}\` | ${type} | ${shown} | ${cell(property.description ?? "")} |`;
    return [row, ...innerRows(property, inner, `${prefix}${name}`, root)];
  });
}

/** The fields of a block without a section: of the field itself, or of the items of its list. */
function innerRows(property: JsonSchema, path: string, name: string, root: JsonSchema): readonly string[] {
  if (sectionOf(path) !== null) return [];
  const shown = alternatives(property, root).map((form) => {
    if (form.items !== undefined) return innerRows(form.items, `${path}.#`, `${name}[]`, root);
    return form.properties === undefined ? [] : rows(form, path, `${name}.`, root, []);
  });
  // One item or a list of them: the fields are the same, once is enough.
  return shown.findLast((lines) => lines.length > 0) ?? [];
}

function sectionOf(path: string): DocsSection | null {
  return DOCS_SECTIONS.find((section) => section.paths.includes(path)) ?? null;
}

function typeText(schema: JsonSchema, path: string, root: JsonSchema): string {
  const section = sectionOf(path);
  const forms = (schema.anyOf ?? [schema])
    .filter((form) => form.codeOnly !== true || schema.anyOf === undefined)
    .map((form) => formText(form, path, section, root));
  return [...new Set(forms)].join(", or ");
}

function formText(schema: JsonSchema, path: string, section: DocsSection | null, root: JsonSchema): string {
  if (schema.$ref !== undefined) {
    const id = schema.$ref.replace("#/$defs/", "");
    const target = root.$defs?.[id] ?? {};
    if (isKind(target)) return `[${words(id)}](#${kindAnchor(id)})`;
    return formText(target, path, section, root);
  }
  if (schema.anyOf !== undefined) return typeText(schema, path, root);
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum !== undefined) return enumText(schema.enum);
  if (schema.type === "array") return `list of ${typeText(schema.items ?? {}, `${path}.#`, root)}`;
  if (schema.properties !== undefined) return section === null ? "block" : link(section.title);
  if (typeof schema.additionalProperties === "object") {
    const key = schema.propertyNames === undefined ? "text" : typeText(schema.propertyNames, "", root);
    return `mapping of ${key} to ${typeText(schema.additionalProperties, `${path}.*`, root)}`;
  }
  if (schema.codeOnly === true) return "function";
  if (schema.type === "integer" || schema.type === "number") return numberText(schema);
  return schema.type === "boolean" ? "`true`, `false`" : "text";
}

/** A kind of value has no fields: it is explained at the end, not where it is used. */
function isKind(schema: JsonSchema): boolean {
  return schema.properties === undefined;
}

/** "1.2" and 1.2 are one word to a reader. */
function enumText(values: readonly unknown[]): string {
  return [...new Set(values.map((value) => `\`${value}\``))].join(", ");
}

function numberText({ type, minimum, maximum }: JsonSchema): string {
  const kind = type === "integer" ? "whole number" : "number";
  if (minimum === undefined) return kind;
  return maximum === undefined || maximum === Number.MAX_SAFE_INTEGER
    ? `${kind} from ${minimum}`
    : `${minimum} to ${maximum}`;
}

/** A default as it would be written; one that is only "all the defaults inside" is none. */
function defaultText(value: unknown): string {
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0)
    return Array.isArray(value) ? "`[]`" : "";
  if (!Array.isArray(value)) return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
  return value.length > 4 ? value.map((item) => `\`${item}\``).join(" ") : `\`[${value.join(", ")}]\``;
}

function link(title: string): string {
  return `[${title}](#${title.toLowerCase().replaceAll(" ", "-")})`;
}

/** "listen address" of "listenAddress". */
function words(id: string): string {
  return id === "cidr" ? "network" : id.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function kindAnchor(id: string): string {
  return `kind-${words(id).replaceAll(" ", "-")}`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A sentence in a cell of a table. */
function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
