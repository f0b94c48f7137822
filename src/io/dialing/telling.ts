/**
 * The last step of whatever makes a connection: its handler is told, in one batch with what it writes. A handler that throws
 * loses its connection, never the process.
 */
import { ProxyError } from "../../core/errors.ts";
import type { Connection, DialHandler } from "../../core/ports.ts";
import type { DialOwner } from "./connecting.ts";

export function tellConnected(owner: DialOwner, handler: DialHandler, connection: Connection): void {
  owner.batch.enter();
  try {
    handler.onConnected(connection);
  } catch (thrown) {
    owner.reportFault(thrown);
    connection.destroy(ProxyError.from(thrown));
  }
  owner.batch.leave();
}

export function tellFailed(owner: DialOwner, handler: DialHandler, error: ProxyError): void {
  owner.batch.enter();
  try {
    handler.onFailed(error);
  } catch (thrown) {
    owner.reportFault(thrown);
  }
  owner.batch.leave();
}
