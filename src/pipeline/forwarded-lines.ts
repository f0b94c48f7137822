/**
 * The forwarding fields of one client connection, encoded once: an untrusted client's requests all get the same ones as long
 * as they name the same host, which is the rule. What the fields say is decided in semantics/forwarded.ts, here they are only
 * kept.
 */
import { FIELD_HOST } from "../core/field-names.ts";
import { EncodedLines, ROW, ROW_VALUE, ROW_VALUE_END } from "../core/fields.ts";
import { RequestMessage } from "../core/message.ts";
import { removeForwarded, setForwarded } from "../semantics/forwarded.ts";

const EMPTY = Buffer.alloc(0);

export class ForwardedLines {
  readonly #remoteAddress: string;
  #host: Buffer = EMPTY;
  #lines: EncodedLines | null = null;

  constructor(remoteAddress: string) {
    this.#remoteAddress = remoteAddress;
  }

  /** Does what `setForwarded` does for an untrusted peer. The request's authority must be that of its Host. */
  apply(request: RequestMessage): void {
    const { fields } = request;
    removeForwarded(fields);
    const row = fields.rowOfId(FIELD_HOST);
    const from = row < 0 ? 0 : fields.table[row * ROW + ROW_VALUE]!;
    const to = row < 0 ? 0 : fields.table[row * ROW + ROW_VALUE_END]!;
    if (this.#lines === null || !this.#isSameHost(fields.bytes, from, to)) {
      this.#host = Buffer.from(fields.bytes.subarray(from, to));
      this.#lines = this.#encode(request);
    }
    fields.appendEncoded(this.#lines);
  }

  #isSameHost(bytes: Buffer, from: number, to: number): boolean {
    const host = this.#host;
    if (to - from !== host.length) return false;
    for (let i = 0; i < host.length; i++) if (bytes[from + i] !== host[i]) return false;
    return true;
  }

  #encode(request: RequestMessage): EncodedLines {
    const alone = new RequestMessage();
    const { scheme, authority } = request;
    setForwarded(alone, { remoteAddress: this.#remoteAddress, trusted: false, scheme, authority });
    const lines = new EncodedLines(alone.fields.entries());
    alone.fields.release();
    return lines;
  }
}
