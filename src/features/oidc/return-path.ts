/**
 * Where a browser goes behind its login: a path of the host where it began, and never anywhere else, whoever made the
 * link (an open redirect, CWE-601). What is not plainly such a path is the host's root.
 */
import { normalisePath } from "../../semantics/uri.ts";

/** A longer one is not kept: it has to fit into a cookie. */
const CHARACTERS_MAX = 2048;
/** Visible ASCII; a second slash or a backslash would begin a host for browsers. */
const LOCAL_PATH = /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/;

/** `ownPaths` are those of the login itself: to go there would log out, or go round in circles. */
export function returnPathOf(target: string, ownPaths: ReadonlySet<string>): string {
  if (target.length > CHARACTERS_MAX || !LOCAL_PATH.test(target)) return "/";
  // As a browser will read it: the proof that it stays on its host.
  const url = URL.parse(target, "https://host.invalid");
  if (url === null || url.origin !== "https://host.invalid" || url.pathname.startsWith("//")) return "/";
  // In any spelling of it that routes take for the same.
  const path = normalisePath(url.pathname);
  return path === null || ownPaths.has(path) ? "/" : target;
}
