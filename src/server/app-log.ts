/**
 * What the proxy says about itself: start, reloads, faults. JSON for machines, plain lines for a person at a terminal. It
 * never says anything about single requests, except that one met a bug.
 */
import { type Logger, pino } from "pino";
import type { LogLevel } from "../config/config.ts";

export type AppLog = Logger;

export interface AppLogOptions {
  readonly level: LogLevel;
  /** Plain lines in place of JSON. */
  readonly isForPeople: boolean;
  /** The number of the worker that speaks, where there are several. */
  readonly worker?: number;
  /** Takes a line, its line break included. */
  readonly write: (line: string) => void;
}

export function createAppLog({ level, isForPeople, worker, write }: AppLogOptions): AppLog {
  return pino(
    {
      level,
      base: worker === undefined ? null : { worker },
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: isForPeople ? (line) => write(plainLine(line)) : write },
  );
}

interface Entry {
  readonly level: string;
  readonly time: string;
  readonly msg?: string;
  readonly err?: { readonly message?: string; readonly stack?: string };
  readonly [key: string]: unknown;
}

/** `05:36:12 warn  the certificate expires ... listener=web`, and the stack of an error below it. */
function plainLine(json: string): string {
  const { level, time, msg = "", err, ...details } = JSON.parse(json) as Entry;
  let line = `${time.slice(11, 19)} ${level.padEnd(5)} ${msg}`;
  for (const [name, value] of Object.entries(details)) {
    line += ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`;
  }
  if (err !== undefined && !msg.includes(err.message ?? "")) line += `: ${err.message}`;
  const stack = err?.stack?.split("\n").filter((entry) => /^\s+at /.test(entry)) ?? [];
  return `${[line, ...stack].map(visible).join("\n")}\n`;
}

/** Controls in what others said must not reach a terminal. */
function visible(text: string): string {
  return text.replace(
    /[\x00-\x1f\x7f-\x9f]/g,
    (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}
