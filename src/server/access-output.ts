/**
 * The file or stream that the access log goes to, through reloads: the same output stays open, another one is opened before
 * the old one is let go, so that a reload that fails has changed nothing and no line is lost.
 */
import type { AccessLogConfig, LogOutput } from "../config/config.ts";
import type { Clock } from "../core/ports.ts";
import { LogWriter } from "../io/log-file.ts";
import { isoTime } from "./access-record.ts";
import type { AppLog } from "./app-log.ts";
import { SetupError } from "./setup-error.ts";

/** Takes lines to where they go. */
export type AccessWriter = Pick<LogWriter, "write" | "reopen" | "close" | "flushSync">;

export interface AccessOutput {
  /** Equal texts: the same output in the same form. */
  readonly identity: string;
  readonly writer: AccessWriter;
}

/** Gives `current` when it is what the configuration asks for; otherwise a new one. Throws a SetupError. */
export type OpenAccessOutput = (config: AccessLogConfig, current: AccessOutput | null) => AccessOutput;

/** On the process's own files and streams. */
export function accessOutputs(clock: Clock, log: AppLog): OpenAccessOutput {
  return (config, current) => openAccessOutput(config, current, clock, log);
}

function openAccessOutput(
  config: AccessLogConfig,
  current: AccessOutput | null,
  clock: Clock,
  log: AppLog,
): AccessOutput {
  const { output, format } = config;
  const isJson = format.kind === "json";
  const identity = `${isJson} ${outputName(output)}`;
  if (current?.identity === identity) return current;
  const target = output.kind === "file" ? { path: output.path } : output.kind;
  const lossLine = (lostLines: number): string => {
    const time = isoTime(clock.wallMs());
    return isJson ? `{"time":"${time}","lostLines":${lostLines}}\n` : `${time} lost ${lostLines} lines of this log\n`;
  };
  const name = outputName(output);
  const onTrouble = ({ message }: Error): void => log.error(`the access log cannot be written to ${name}: ${message}`);
  const onRecovered = (): void => log.info(`the access log is written to ${name} again`);
  try {
    return { identity, writer: new LogWriter(target, clock, { lossLine, onTrouble, onRecovered }) };
  } catch (error) {
    throw new SetupError([{ path: ["log", "access", "output"], message: (error as Error).message }], error);
  }
}

function outputName(output: LogOutput): string {
  return output.kind === "file" ? output.path : output.kind;
}
