/**
 * How several threads come to listen on one address. With the addon the main thread binds a socket for each of them and
 * keeps it, so that what waits in its queue outlives the thread; without it each thread binds for itself, and the main thread
 * only makes sure beforehand that nobody else has the port.
 */
import { once } from "node:events";
import { lstatSync, unlinkSync } from "node:fs";
import net from "node:net";
import type { Address } from "../../core/ports.ts";
import { addressOf } from "../../io/addresses.ts";
import { bindListener } from "../../io/binding.ts";
import type { SystemError } from "../../io/failures.ts";
import type { Addon } from "../../io/native/addon.ts";
import { bindSocket } from "../../io/native/sockets.ts";
import { chooseAddon, type WantedTransport } from "../../io/open-transport.ts";
import type { ListenOptions } from "../../io/transport.ts";

export type SocketPlace = Pick<ListenOptions, "host" | "port" | "path">;

export interface SocketSource {
  /** What the threads run on. */
  readonly transport: "native" | "net";
  /**
   * Whether a thread may listen where another one of this process does: always, on TCP alone (a unix socket has one thread at a
   * time), or never.
   */
  readonly shares: "always" | "tcp" | "never";
  /**
   * A socket for a thread to accept on; a null descriptor where threads bind by themselves, and then the place is only tried.
   * Rejects with a ListenError.
   */
  bind(
    place: SocketPlace,
    reusePort: boolean,
  ): Promise<{ readonly descriptor: number | null; readonly address: Address }>;
  /** Of a socket that was bound without `reusePort`: others may be bound there with it from now on. */
  share(descriptor: number): void;
  close(descriptor: number): void;
}

/** Throws an Error for the operator when the transport is not there. */
export async function openSocketSource(wanted: WantedTransport): Promise<SocketSource> {
  const addon = chooseAddon(wanted);
  if (addon !== null) return new KeptSockets(addon);
  return new OwnSockets((await canReusePort()) ? "tcp" : "never");
}

class KeptSockets implements SocketSource {
  readonly transport = "native";
  readonly shares = "always";
  readonly #addon: Addon;

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  bind(place: SocketPlace, reusePort: boolean): ReturnType<SocketSource["bind"]> {
    return bindSocket(this.#addon, { ...place, reusePort, tls: null });
  }

  share(descriptor: number): void {
    this.#addon.shareAddress(descriptor);
  }

  close(descriptor: number): void {
    this.#addon.closeDescriptor(descriptor);
  }
}

class OwnSockets implements SocketSource {
  readonly transport = "net";
  readonly shares: "tcp" | "never";

  constructor(shares: "tcp" | "never") {
    this.shares = shares;
  }

  /** Listens for a moment. */
  async bind(place: SocketPlace, reusePort: boolean): ReturnType<SocketSource["bind"]> {
    const { host, port, path } = place;
    if (path !== null) return { descriptor: null, address: { family: 0, address: path, port: 0 } };
    let address: Address | null = null;
    await bindListener({ ...place, tls: null }, async () => {
      const server = net.createServer();
      server.listen({ port, reusePort, exclusive: true, ...(host !== null && { host, ipv6Only: true }) });
      await once(server, "listening");
      const bound = server.address() as net.AddressInfo;
      address = addressOf(bound.address, bound.port);
      server.close();
      await once(server, "close");
    });
    return { descriptor: null, address: address! };
  }

  share(): void {}

  close(): void {}
}

/** Whether the system lets several sockets listen on one port and spreads connections over them. */
async function canReusePort(): Promise<boolean> {
  const server = net.createServer();
  try {
    server.listen({ host: "127.0.0.1", port: 0, reusePort: true, exclusive: true });
    await once(server, "listening");
    return true;
  } catch (error) {
    return (error as SystemError).code !== "ENOTSUP";
  } finally {
    server.close();
  }
}

/** Removes the file of a unix socket that is about to be closed. */
export function removeSocketFile(path: string): void {
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch {
    // It is gone already, or not ours to remove: the next who listens there deals with it.
  }
}
