/** Why there is no admin interface at an address, in one line for the operator. */

export class AdminError extends Error {
  /** Another process that runs has the address. */
  readonly isTaken: boolean;

  constructor(address: string, reason: string, cause: unknown = null, isTaken = false) {
    super(`admin cannot listen on ${address}: ${reason}`, { cause });
    this.name = "AdminError";
    this.isTaken = isTaken;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOENT: "its folder is not there",
  ENOTDIR: "its folder is not there",
  EROFS: "its folder cannot be written to",
  EADDRINUSE: "the port is already in use",
  EADDRNOTAVAIL: "this machine does not have that address",
};

/** The system's error in words. */
export function describeFailure(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ""] ?? message;
}
