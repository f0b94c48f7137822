/** Why a command cannot do what it was asked, in lines for the person who asked, and the status that the process ends with. */

/** The configuration or the machine is to blame. */
export const STATUS_FAILED = 1;
/** The command line is. */
export const STATUS_USAGE = 2;
/** A bug, ours or a plugin's (EX_SOFTWARE of sysexits.h). */
export const STATUS_FAULT = 70;

export class CommandError extends Error {
  readonly lines: readonly string[];
  readonly status: number;

  constructor(lines: readonly string[], status: number = STATUS_FAILED, cause?: unknown) {
    super(lines.join("\n"), cause === undefined ? undefined : { cause });
    this.name = "CommandError";
    this.lines = lines;
    this.status = status;
  }
}
