/**
 * The form of a configuration in a program, and the function by which an editor knows it. What a plugin and a handler are
 * is said by whoever offers this to users; here they are parameters.
 */
import type { HandleFunction, PluginObject, WithCode } from "./code.ts";
import type { ConfigInput } from "./schema.ts";

/** The file as an object, with plugins in `use` and functions in `handle`. */
export type ConfigWithCode<Plugin extends PluginObject = PluginObject, Handle = HandleFunction> = WithCode<
  ConfigInput,
  Plugin,
  Handle
>;

/** Gives back what it gets: `export default defineConfig({ ... })` is the whole of a headgate.ts. */
export function defineConfig<Plugin extends PluginObject = PluginObject, Handle = HandleFunction>(
  config: ConfigWithCode<Plugin, Handle>,
): ConfigWithCode<Plugin, Handle> {
  return config;
}
