/**
 * Signals that come while the command is still being loaded: a proxy that is told to read its configuration again, as when logs are
 * rotated right behind the start of the machine, must not end of that, and service managers take SIGHUP for an orderly end.
 */
let hungUp = false;
const HELD = {
  SIGHUP: () => {
    hungUp = true;
  },
  SIGUSR1: () => {},
  SIGUSR2: () => {},
};

/** From now on they end nothing. */
export function holdSignals(): void {
  for (const [signal, held] of Object.entries(HELD)) process.on(signal, held);
}

/** Somebody else obeys from now on. Whether SIGHUP has come before. */
export function releaseSignals(): boolean {
  for (const [signal, held] of Object.entries(HELD)) process.off(signal, held);
  return hungUp;
}
