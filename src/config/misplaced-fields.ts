/** Fields of ours in a block that does not have them: which one does, and how that is written. */
import { type Block, blockAt } from "./foreign-words.ts";
import { knownFields } from "./known-fields.ts";
import type { Path } from "./problems.ts";

const SERVER: Path = ["servers", "any"];
const ROUTE: Path = [...SERVER, "routes", 0];

/** The blocks that are asked for a field, with what to say of its name when they have it. */
type Elsewhere = readonly (readonly [block: Path, says: (name: string) => string])[];

const IN_USE_OF_SITE = (name: string) =>
  `is a feature, which stands in "use" of a server or a route: write use: [{ ${name}: ... }]`;
const IN_USE = (name: string) => `is a feature, which stands in "use": write use: [{ ${name}: ... }]`;
const IN_PROXY = (name: string) => `belongs to "proxy": write proxy: { to: ..., ${name}: ... }`;
const USE: Path = [...ROUTE, "use", 0];
const PROXY: Path = [...ROUTE, "proxy"];

const ELSEWHERE: Readonly<Partial<Record<Block, Elsewhere>>> = {
  file: [
    [SERVER, (name) => `belongs to a server: write servers: { NAME: { ${name}: ... } }`],
    [USE, IN_USE_OF_SITE],
  ],
  server: [
    [USE, IN_USE],
    [PROXY, IN_PROXY],
  ],
  listen: [[SERVER, () => 'belongs to the server, beside "listen"']],
  route: [
    [USE, IN_USE],
    [SERVER, () => 'belongs to the server, beside "routes"'],
    [[...ROUTE, "match"], (name) => `is a condition: write match: { ${name}: ... }`],
    [PROXY, IN_PROXY],
  ],
  forward: [[USE, IN_USE]],
  use: [[ROUTE, () => 'is no feature: it stands beside "use"']],
  proxy: [
    [USE, (name) => `is a feature, which stands in "use" beside "proxy": write use: [{ ${name}: ... }]`],
    [ROUTE, () => 'belongs to the route, beside "proxy"'],
  ],
  upstream: [[USE, IN_USE_OF_SITE]],
  log: [[["log", "access"], (name) => `belongs to the access log: write access: { ${name}: ... }`]],
};

/** What to say of an unknown field; null: it is nobody's. `holder` is the value of the block that it stands in. */
export function whereItStands(path: Path, holder: unknown): string | null {
  const name = String(path.at(-1));
  const block = blockAt(path.slice(0, -1));
  // One of what there are several of, such as "cache".
  if (block === null || knownFields(path.slice(0, -1)).includes(`${name}s`)) return null;
  const hasRoutes = block === "server" && Object.hasOwn(Object(holder), "routes");
  const found = ELSEWHERE[block]?.find(([at]) => knownFields(at).includes(name));
  if (found === undefined) return null;
  if (hasRoutes && found[0] === USE) {
    return `is a feature, which stands in "use" of a route: write routes: [{ use: [{ ${name}: ... }] }]`;
  }
  return found[1](name);
}
