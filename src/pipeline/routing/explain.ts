/**
 * Why a request meets a route: every route before it, and the key that did not match. For people who ask; it tries the
 * routes in turn, so it is also the plain statement of what the router's index must find.
 */
import type { Route } from "../site.ts";
import { compileMatch, type MatchKey, type RoutedRequest } from "./match.ts";
import type { RouteEntry } from "./router.ts";

export interface RouteExplanation {
  /** The route that is met; null: none, which is answered with 404. */
  readonly matched: Route | null;
  /** The routes before it, in the order of the file, each with the first of its keys that did not match. */
  readonly passedOver: readonly { readonly route: Route; readonly key: MatchKey }[];
}

export function explainRoute(entries: readonly RouteEntry[], subject: RoutedRequest): RouteExplanation {
  const passedOver: { route: Route; key: MatchKey }[] = [];
  for (const { match, route } of entries) {
    const conditions = match === null ? [] : compileMatch(match);
    const failed = conditions.find((condition) => !condition.holds(subject));
    if (failed === undefined) return { matched: route, passedOver };
    passedOver.push({ route, key: failed.key });
  }
  return { matched: null, passedOver };
}
