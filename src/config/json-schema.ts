/**
 * The JSON Schema (draft 2020-12) that ships with the package and that `headgate schema` prints. It is the schema of the
 * file, and lets a reference to the environment stand wherever a value stands, so that an editor does not mark it.
 */
import { fileSchema, type JsonSchema } from "./known-fields.ts";

const ENVIRONMENT = "\\$\\{";

/** A new object each time. */
export function configJsonSchema(): JsonSchema {
  const schema = structuredClone(fileSchema());
  const { $schema, ...rest } = schema;
  allowEnvironment(rest);
  const environment: JsonSchema = {
    type: "string",
    pattern: ENVIRONMENT,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the configuration's own syntax
    description: "A text with `${NAME}` or `${NAME:-default}` in it, which is read from the environment.",
  };
  return {
    ...($schema === undefined ? {} : { $schema }),
    title: "Headgate's configuration",
    ...rest,
    $defs: { ...rest.$defs, environment },
  };
}

function allowEnvironment(schema: JsonSchema): void {
  const inner = [
    ...Object.values(schema.properties ?? {}),
    ...Object.values(schema.$defs ?? {}),
    ...(schema.anyOf ?? []),
    ...(schema.items === undefined ? [] : [schema.items]),
    ...(typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : []),
  ];
  for (const child of inner) allowEnvironment(child);
  const environment: JsonSchema = { $ref: "#/$defs/environment" };
  if (schema.enum !== undefined || schema.const !== undefined) {
    const words: JsonSchema = schema.enum === undefined ? { const: schema.const } : { enum: schema.enum };
    delete schema.enum;
    delete schema.const;
    delete schema.type;
    schema.anyOf = [words, environment];
  } else if (schema.type === "string" && schema.pattern !== undefined) {
    schema.pattern = `${schema.pattern}|${ENVIRONMENT}`;
  } else if (schema.type === "number" || schema.type === "integer" || schema.type === "boolean") {
    schema.type = [schema.type, "string"];
    schema.pattern = ENVIRONMENT;
  }
}
