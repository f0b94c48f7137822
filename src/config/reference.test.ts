/** The reference and the JSON Schema that are in the repository are those of the schema, and leave nothing out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parseDocument } from "yaml";
import { configurationReference } from "./docs.ts";
import { DOCS_SECTIONS } from "./docs-sections.ts";
import { configJsonSchema } from "./json-schema.ts";
import { type JsonSchema, programSchema } from "./known-fields.ts";
import { parseConfig } from "./parse.ts";
import { formatProblem } from "./problems.ts";

const read = (name: string) => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");

/** Every block of a schema that has fields, with where it is. */
function blocksOf(
  schema: JsonSchema,
  place: string,
): readonly { readonly block: JsonSchema; readonly place: string }[] {
  const inner: readonly (readonly [JsonSchema, string])[] = [
    ...Object.entries(schema.$defs ?? {}).map(([name, child]) => [child, name] as const),
    ...Object.entries(schema.properties ?? {}).map(([name, child]) => [child, `${place}.${name}`] as const),
    ...(schema.anyOf ?? []).map((child) => [child, place] as const),
    ...(schema.items === undefined ? [] : [[schema.items, `${place}[]`] as const]),
    ...(typeof schema.additionalProperties === "object" ? [[schema.additionalProperties, `${place}.*`] as const] : []),
  ];
  const below = inner.flatMap(([child, name]) => blocksOf(child, name));
  return schema.properties === undefined ? below : [{ block: schema, place }, ...below];
}

describe("the reference", () => {
  it("is current: scripts/generate-docs.ts writes it anew", () => {
    assert.equal(read("configuration.md"), configurationReference());
    assert.equal(read("schema.json"), `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
  });

  it("has a sentence for every field", () => {
    const blocks = blocksOf(programSchema(), "file");
    assert.ok(blocks.length > 40, `${blocks.length} blocks`);
    for (const { block, place } of blocks) {
      for (const [name, field] of Object.entries(block.properties ?? {})) {
        assert.match(
          field.description ?? "",
          /^[A-Z`].*[.]$/s,
          `${place}.${name} needs a .describe() with a whole sentence`,
        );
      }
    }
  });

  it("shows every field", () => {
    const text = read("configuration.md");
    const fields = new Set(
      blocksOf(programSchema(), "file").flatMap(({ block }) => Object.keys(block.properties ?? {})),
    );
    // `file` is the inside of every secret, which the introduction explains.
    fields.delete("file");
    for (const name of fields) assert.match(text, new RegExp(`^\\| \`([\\w[\\].]+\\.)?${name}\` \\|`, "m"), name);
  });

  it("has no link that leads nowhere", () => {
    const text = read("configuration.md");
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, title]) => title?.toLowerCase().replaceAll(" ", "-"));
    const anchors = [...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id);
    const targets = [...text.matchAll(/\]\(#([^)]+)\)/g)].map(([, target]) => target);
    assert.ok(targets.length > 50);
    assert.deepEqual(
      targets.filter((target) => !headings.includes(target) && !anchors.includes(target)),
      [],
    );
  });
});

describe("the examples of the reference", () => {
  for (const { title, example } of DOCS_SECTIONS) {
    it(title, () => {
      // The one secret of the examples stands in a file that is not there.
      const files = {
        resolvePath: (path: string) => path,
        readSecret: () => "Bearer of-the-test",
        readSecretBytes: () => Buffer.alloc(32, 7),
      };
      const result = parseConfig(example, { file: "headgate.yaml", files });
      assert.ok(result.ok, result.ok ? "" : result.problems.map(formatProblem).join("\n"));
      // The stores are shown without the features that use them.
      const warnings = result.warnings
        .map(formatProblem)
        .filter((text) => !text.endsWith(": no feature or cache uses it"));
      assert.deepEqual(warnings, []);
    });
  }
});

/** A validator for the keywords that the schema has; the path of the first mistake, or null. */
function mistake(value: unknown, schema: JsonSchema, root: JsonSchema, path = "$"): string | null {
  if (schema.$ref !== undefined) {
    const target = root.$defs?.[schema.$ref.replace("#/$defs/", "")];
    assert.ok(target, `${schema.$ref} leads nowhere`);
    const inside = mistake(value, target, root, path);
    if (inside !== null) return inside;
  }
  if (schema.anyOf !== undefined) {
    const tries = schema.anyOf.map((form) => mistake(value, form, root, path));
    if (!tries.includes(null))
      return tries.toSorted((left, right) => (right?.length ?? 0) - (left?.length ?? 0))[0] ?? path;
  }
  if (schema.const !== undefined && schema.const !== value) return path;
  if (schema.enum !== undefined && !schema.enum.includes(value)) return path;
  const types = [schema.type ?? []].flat();
  const type = Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
  const isInteger = typeof value === "number" && Number.isInteger(value);
  if (types.length > 0 && !types.includes(type) && !(isInteger && types.includes("integer"))) return path;
  if (typeof value === "string" && schema.pattern !== undefined && !new RegExp(schema.pattern, "u").test(value))
    return path;
  if (typeof value === "number" && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value)))
    return path;
  if (Array.isArray(value)) return mistakeInList(value, schema, root, path);
  return type === "object" ? mistakeInMapping(value as Record<string, unknown>, schema, root, path) : null;
}

function mistakeInList(value: readonly unknown[], schema: JsonSchema, root: JsonSchema, path: string): string | null {
  if (value.length < (schema.minItems ?? 0)) return path;
  for (const [index, item] of value.entries()) {
    const inside = mistake(item, schema.items ?? {}, root, `${path}[${index}]`);
    if (inside !== null) return inside;
  }
  return null;
}

function mistakeInMapping(value: Record<string, unknown>, schema: JsonSchema, root: JsonSchema, path: string) {
  const names = Object.keys(value);
  if (names.length < (schema.minProperties ?? 0) || names.length > (schema.maxProperties ?? names.length)) return path;
  const missing = schema.required?.find((name) => !names.includes(name));
  if (missing !== undefined) return `${path}.${missing}`;
  for (const [name, inner] of Object.entries(value)) {
    const property = schema.properties?.[name];
    const other = schema.additionalProperties;
    const nameMistake =
      property === undefined ? mistake(name, schema.propertyNames ?? {}, root, `${path}.${name}`) : null;
    if (nameMistake !== null) return nameMistake;
    if (property === undefined && other === false) return `${path}.${name}`;
    const inside = mistake(inner, property ?? (typeof other === "object" ? other : {}), root, `${path}.${name}`);
    if (inside !== null) return inside;
  }
  return null;
}

describe("the JSON Schema", () => {
  const schema = configJsonSchema();
  const mistakeIn = (text: string) => mistake(parseDocument(text).toJS(), schema, schema);

  it("takes every example", () => {
    for (const { title, example } of DOCS_SECTIONS) assert.equal(mistakeIn(example), null, title);
  });

  it("refuses what the program refuses", () => {
    const cases: readonly [text: string, path: string][] = [
      ["servers: { web: { listen: ':80', respnd: 204 } }", "$.servers.web.respnd"],
      ["servers: { web: { respond: 204 } }", "$.servers.web.listen"],
      ["servers: { web: { listen: ':80', halfClose: 3 } }", "$.servers.web.halfClose"],
      ["{ drainTimeout: 30, servers: {} }", "$.drainTimeout"],
      ["{ drainTimeout: soon, servers: {} }", "$.drainTimeout"],
      ["{ transport: fast, servers: {} }", "$.transport"],
      ["{ limits: { fields: 1 }, servers: {} }", "$.limits.fields"],
      ["servers: { web: { listen: ':80', use: [{ compress: true, stripPrefix: /a }] } }", "$.servers.web.use[0]"],
      ["servers: { web: { listen: ':80', handle: x } }", "$.servers.web.handle"],
    ];
    for (const [text, path] of cases) assert.equal(mistakeIn(text), path, text);
  });

  it("takes references to the environment in place of any value", () => {
    const text = `drainTimeout: "\${A}"
transport: "\${A:-net}"
limits: { fields: "\${A}", head: "\${A}KiB" }
servers: { "web": { listen: ":\${A}", halfClose: "\${A}", respond: "\${A}" } }
`;
    assert.equal(mistakeIn(text), null);
  });
});
