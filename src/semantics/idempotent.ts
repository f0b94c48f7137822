/**
 * Which requests may be sent again without asking anybody, because once or twice is the same to the server. Methods that we do
 * not know are not among them.
 */

/** RFC 9110 section 9.2.2 */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "OPTIONS":
    case "PUT":
    case "DELETE":
      return true;
    default:
      return false;
  }
}
