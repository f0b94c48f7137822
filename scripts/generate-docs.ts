/**
 * Writes docs/configuration.md and docs/schema.json from the schema, and the reference of hooks in docs/plugins.md from their
 * comments. A test fails when they are not current.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { configurationReference } from "../src/config/docs.ts";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { withHookReference } from "./hook-reference.ts";

const docs = new URL("../docs/", import.meta.url);
writeFileSync(new URL("configuration.md", docs), configurationReference());
writeFileSync(new URL("schema.json", docs), `${JSON.stringify(configJsonSchema(), null, 2)}\n`);

const plugins = new URL("plugins.md", docs);
const phases = readFileSync(new URL("../src/pipeline/phases.ts", import.meta.url), "utf8");
writeFileSync(plugins, withHookReference(readFileSync(plugins, "utf8"), phases));
