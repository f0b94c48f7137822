/**
 * What all exchanges of a process share: one clock, one timer wheel, one source of chance. There is one of each however
 * many proxies a program makes.
 */
import { DeadlineWheel } from "../core/deadlines.ts";
import type { Clock, Random } from "../core/ports.ts";
import { SystemClock, UnheldClock } from "../io/clock.ts";
import { systemRandom } from "../io/random.ts";

export const clock: Clock = new SystemClock();
/** For leases: what must not be believed a moment too long. */
export const unheldClock: Clock = new UnheldClock();
export const deadlines = new DeadlineWheel(clock);
export const random: Random = systemRandom;
