/** The version of the package that this file belongs to: src/ and dist/ lie beside the same package.json. */
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export const version = manifest.version;
