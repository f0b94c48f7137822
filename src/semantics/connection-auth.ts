/**
 * Authentication that holds for a connection, not for a request: NTLM, and Negotiate, which may carry it (RFC 4559 section 6). Once
 * such credentials were sent on a connection to a server, whatever else comes on it is taken for the same user's.
 */
import { FIELD_AUTHORIZATION } from "../core/field-names.ts";
import { type FieldBlock, ROW, ROW_VALUE } from "../core/fields.ts";

const CREDENTIALS = /^\s*(?:ntlm|negotiate)(?:\s|$)/i;
/** Anywhere among several challenges; where the words only stand in a realm, nothing is lost but a connection. */
const CHALLENGE = /(?:^|[\s,])(?:ntlm|negotiate)(?:[\s,]|$)/i;
/** The letter that both schemes begin with. */
const N = 0x6e;

/** Whether a request proves its user for the whole connection that it is sent on. */
export function authenticatesConnection(fields: FieldBlock): boolean {
  let row = fields.rowOfId(FIELD_AUTHORIZATION);
  while (row >= 0) {
    const first = fields.bytes[fields.table[row * ROW + ROW_VALUE]!]!;
    // Most are others: of those no text is made. A space is left to the pattern.
    if (((first | 0x20) === N || first <= 0x20) && CREDENTIALS.test(fields.valueAt(row))) return true;
    row = fields.rowOfId(FIELD_AUTHORIZATION, row + 1);
  }
  return false;
}

/** Whether an answer asks for such a proof. Only 401 does; what answers one is known by its request. */
export function asksToAuthenticateConnection(status: number, fields: FieldBlock): boolean {
  return status === 401 && fields.getAll("www-authenticate").some((value) => CHALLENGE.test(value));
}
