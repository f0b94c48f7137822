/** The version of the package that this file belongs to, and of the Node that it needs: src/ and dist/ lie beside the same package.json. */
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
  engines: { node: string };
};

export const version = manifest.version;
/** As "24.18". */
export const nodeMin = manifest.engines.node.replace(">=", "");
