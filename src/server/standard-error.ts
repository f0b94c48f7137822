/**
 * The application log of a process: on standard error, in batches like every other log, so that whoever reads it slowly
 * never holds a request up. At a terminal it is plain lines.
 */

import type { LogLevel } from "../config/config.ts";
import { LogWriter } from "../io/log-file.ts";
import { isoTime } from "./access-record.ts";
import { type AppLog, createAppLog } from "./app-log.ts";
import { clock } from "./surroundings.ts";

export interface StandardErrorLog {
  readonly log: AppLog;
  /** Lines are written for a person at a terminal. */
  readonly isForPeople: boolean;
  /** Adds a line that somebody else has made, in the same form. */
  readonly write: (line: string) => void;
  /** Writes what is left. */
  close(): Promise<void>;
  /** The same for a process that ends right now. */
  flushSync(): void;
}

/** Opens nothing before the first line. */
export function openStandardErrorLog(level: LogLevel): StandardErrorLog {
  const isForPeople = process.stderr.isTTY === true;
  const lossLine = (lostLines: number): string => {
    const time = isoTime(clock.wallMs());
    const msg = `lost ${lostLines} lines of this log`;
    return isForPeople ? `${time.slice(11, 19)} ${msg}\n` : `${JSON.stringify({ level: "warn", time, msg })}\n`;
  };
  let writer: LogWriter | null = null;
  const write = (line: string): void => {
    writer ??= new LogWriter("stderr", clock, { lossLine });
    writer.write(line);
  };
  const log = createAppLog({ level, isForPeople, write });
  return { log, isForPeople, write, close: async () => writer?.close(), flushSync: () => writer?.flushSync() };
}
