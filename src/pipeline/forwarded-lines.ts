/**
 * The forwarding fields of untrusted clients, of which most requests have the same: what depends on the client's address alone
 * is encoded once for all of its requests and connections, and the host is copied from `Host`. What the fields say is decided in
 * semantics/forwarded.ts, here they are only kept.
 */
import { FIELD_HOST } from "../core/field-names.ts";
import { EncodedLines, EncodedName, ROW, ROW_VALUE, ROW_VALUE_END } from "../core/fields.ts";
import { RequestMessage } from "../core/message.ts";
import { removeForwarded, setForwarded } from "../semantics/forwarded.ts";

/** Clients that a thread remembers, at about 600 bytes each; then it begins anew. */
const ADDRESSES_MAX = 4096;

const HOST_NAME = new EncodedName("X-Forwarded-Host");

/** One serves a whole thread. */
export class ForwardedLines {
  readonly #http = new Map<string, EncodedLines>();
  readonly #https = new Map<string, EncodedLines>();

  /** Does what `setForwarded` does for an untrusted peer. The request's authority must be that of its Host. */
  apply(request: RequestMessage, remoteAddress: string): void {
    const { fields } = request;
    removeForwarded(fields);
    const ofScheme = request.scheme === "http" ? this.#http : this.#https;
    fields.appendEncoded(ofScheme.get(remoteAddress) ?? this.#encode(ofScheme, request.scheme, remoteAddress));
    const row = fields.rowOfId(FIELD_HOST);
    if (row < 0) return;
    const { table } = fields;
    const start = table[row * ROW + ROW_VALUE]!;
    const end = table[row * ROW + ROW_VALUE_END]!;
    if (end > start) fields.appendLowerCase(HOST_NAME, start, end);
  }

  #encode(known: Map<string, EncodedLines>, scheme: "http" | "https", remoteAddress: string): EncodedLines {
    const alone = new RequestMessage();
    setForwarded(alone, { remoteAddress, trusted: false, scheme, authority: "" });
    const lines = new EncodedLines(alone.fields.entries());
    alone.fields.release();
    if (known.size >= ADDRESSES_MAX) known.clear();
    known.set(remoteAddress, lines);
    return lines;
  }
}
