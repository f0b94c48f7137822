/** Writes docs/configuration.md and docs/schema.json from the schema. A test fails when they are not current. */
import { writeFileSync } from "node:fs";
import { configurationReference } from "../src/config/docs.ts";
import { configJsonSchema } from "../src/config/json-schema.ts";

const docs = new URL("../docs/", import.meta.url);
writeFileSync(new URL("configuration.md", docs), configurationReference());
writeFileSync(new URL("schema.json", docs), `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
