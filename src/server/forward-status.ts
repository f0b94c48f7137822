/** What the status says of the users of the forward proxy. */
import { NO_COUNTS, type UserCounts, type UserReport } from "../forward/user-counts.ts";
import type { ForwardStatus } from "./control.ts";

/** null: nobody has used it. */
export function forwardStatusOf({ users, unnamed, others }: UserReport): ForwardStatus | null {
  const listed = [...users].map(([user, counts]) => ({ user, ...counts }));
  const status = { users: listed.sort(byBytes), unnamed: orNull(unnamed), others: orNull(others) };
  return listed.length === 0 && status.unnamed === null && status.others === null ? null : status;
}

function orNull(counts: UserCounts): UserCounts | null {
  const isNothing = Object.values(counts).every((count) => count === 0);
  return isNothing ? null : { ...NO_COUNTS, ...counts };
}

/** The most first. */
function byBytes(one: UserCounts, other: UserCounts): number {
  return other.requestBytes + other.responseBytes - one.requestBytes - one.responseBytes;
}
