/**
 * Where sessions lie, as the login sees it: in the cookie itself, or in a store under a digest of the random id that is
 * all the browser has. Both keep opened sessions in memory; both are asked at once where they can answer at once.
 */
import type { Entry } from "./entries.ts";
import type { Session } from "./session.ts";

/** What `update` makes of the session as it is by then; null: leave it. Called once. */
export type Change = (current: Session) => Session | null | Promise<Session | null>;

export interface Keeper {
  /** Others can see, change and end a session without the browser. */
  readonly isShared: boolean;
  /**
   * What is known here and now of a cookie's value: the session, null that there is none, undefined that `find` must be
   * asked.
   */
  peek(value: string): Entry | null | undefined;
  /** Rejects with `store_unavailable`. */
  find(value: string): Promise<Entry | null>;
  /** A new session under a new id. null: it is too large. Rejects as `find` does. */
  create(session: Session): Promise<Entry | null>;
  /**
   * Changes a session, one change at a time of all threads and machines that share it. null: it has ended. Where others
   * are changing it, it waits for them; with `inPassing` it leaves the session as it is. Rejects as `find` does, and as
   * `change` does.
   */
  update(entry: Entry, change: Change, inPassing: boolean): Promise<Entry | null>;
  /** Ends it everywhere that can be reached; in a cookie, the cookie has to go. Rejects as `find` does. */
  end(entry: Entry): Promise<void>;
}
