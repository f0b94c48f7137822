/**
 * Which transport a thread runs on. It decides by what was asked for and by what this machine can; a transport that was asked
 * for by its name runs, or nothing does.
 */
import type { Clock } from "../core/ports.ts";
import { type Addon, isMissing, loadAddon } from "./native/addon.ts";
import { findAskOriginal } from "./native/addresses.ts";
import { NativeTransport } from "./native/transport.ts";
import { NetTransport } from "./net/transport.ts";
import type { Transport, TransportOptions } from "./transport.ts";

/** `auto` is native where its addon loads, and net elsewhere. */
export type WantedTransport = "auto" | "native" | "net";

/** Says what `auto` means, so that tests and operators choose a transport without another configuration. */
const VARIABLE = "HEADGATE_TRANSPORT";

/** Throws an Error with a sentence for the operator when what is wanted is not to be had. */
export function openTransport(wanted: WantedTransport, clock: Clock, options: TransportOptions = {}): Transport {
  const addon = chooseAddon(wanted);
  if (addon !== null) return new NativeTransport(clock, addon, options);
  return new NetTransport(clock, { ...options, findAskOriginal });
}

/** The addon that the transport will run on; null: it will be Node's own sockets. Throws as `openTransport` does. */
export function chooseAddon(wanted: WantedTransport): Addon | null {
  const name = wanted === "auto" ? wantedByEnvironment() : wanted;
  if (name === "net") return null;
  const addon = loadAddon();
  if (!isMissing(addon)) return addon;
  if (name === "native") throw new Error(`the native transport cannot be used: ${addon.reason}`);
  return null;
}

function wantedByEnvironment(): WantedTransport {
  const value = process.env[VARIABLE];
  if (value === undefined || value === "") return "auto";
  if (value === "native" || value === "net" || value === "auto") return value;
  throw new Error(`${VARIABLE} is ${JSON.stringify(value)}: it must be native, net or auto`);
}
