/** Which addresses a configuration asks for, of those that this thread serves. Opening them is for listeners.ts. */
import { listenerKey } from "../config/diff.ts";
import type { ComposedServer } from "./compose.ts";
import type { HandedSocket, WantedListener } from "./listeners.ts";
import { ticketKeysOf } from "./ticket-keys.ts";
import type { TlsFiles } from "./tls-files.ts";

/** By the keys of all listeners: where this thread gets them from; null: another thread serves them. */
export type HandedSockets = ReadonlyMap<string, HandedSocket | null>;

/** A program was read twice and said two things. */
function otherListener(text: string): string {
  return (
    `${text}: the main thread has read no such address; a module that the configuration imports has changed, ` +
    "which takes effect with a restart"
  );
}

/** Every address of every server that is served here, by the key under which a configuration's difference knows it. */
export function wantedListeners(
  servers: readonly ComposedServer[],
  files: TlsFiles,
  sockets: HandedSockets | null,
  ticketSecret: Uint8Array,
): readonly WantedListener[] {
  const wanted: WantedListener[] = [];
  for (const { config, site } of servers) {
    for (const [index, listen] of config.listen.entries()) {
      const key = listenerKey(listen, config, index);
      const socket = sockets?.get(key);
      if (socket === null) continue;
      if (sockets !== null && socket === undefined) throw new Error(otherListener(listen.text));
      const own = listen.tls === null ? null : files.forListener(listen.tls);
      const tls = own === null ? null : { ...own, ticketKeys: ticketKeysOf(ticketSecret, key, own) };
      wanted.push({ key, listen, place: ["servers", config.name, "listen", index], tls, site, socket: socket ?? null });
    }
  }
  return wanted;
}
