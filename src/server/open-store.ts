/** Opens what a configuration says of a store. The one place that knows every kind of store. */
import type { StoreConfig } from "../identity/options.ts";
import type { OpenedStore } from "./session-stores.ts";
import { SetupError } from "./setup-error.ts";

export function openStore(config: StoreConfig): OpenedStore {
  throw new SetupError([{ path: ["stores", config.name], message: `${config.kind} stores are not available yet` }]);
}
