/**
 * `headgate user`: makes the line of a user for a file of users, as `htpasswd` does, with a hash by argon2id. The password comes from
 * standard input, where no list of processes and no history of a shell shows it.
 */
import { text } from "node:stream/consumers";
import { hashUsers, userPassword } from "../server/user-hashes.ts";
import { CommandError, STATUS_USAGE } from "./command-error.ts";

export async function printUserLine(name: string): Promise<void> {
  if (process.stdin.isTTY) console.error("The password, and Ctrl-D behind it:");
  const password = (await text(process.stdin)).replace(/\r?\n$/, "");
  if (/[\r\n]/.test(password)) {
    throw new CommandError(["error: the password on standard input is more than one line"], STATUS_USAGE);
  }
  try {
    const hashes = await hashUsers([userPassword(name, password)]);
    for (const [user, hash] of Object.entries(hashes)) console.log(`${user}:${hash}`);
  } catch (error) {
    if (error instanceof TypeError) throw new CommandError([`error: ${error.message}`], STATUS_USAGE);
    throw error;
  }
}
