/** What operators look at: lists of what is stored, and whether all of it verifies. In pieces, so that nobody waits for it. */
import { ageOf } from "../../semantics/caching/answer-head.ts";
import { SecretNames } from "../../semantics/secret-names.ts";
import type { ListedEntry, ListOrder, ListOutcome, ListQuery, VerifyOutcome } from "../operating.ts";
import type { BodyFile, EntryId } from "../ports.ts";
import { urlOfKey, valuesOfVariant } from "./entry-id.ts";
import type { Keeping } from "./keeping.ts";
import { Pace, type PaceRates } from "./pace.ts";
import {
  type AnswerRecord,
  BLOCK_BYTES,
  decodeRecord,
  type FileBody,
  storedBytes,
  summariseRecord,
  verifyBlock,
  verifyRecord,
} from "./record.ts";
import { diskBytes } from "./slots.ts";

/** A process that has as many open files as it may: nothing is wrong with the one that it cannot open. */
const SHORT_OF_FILES: readonly unknown[] = ["EMFILE", "ENFILE"];
/** A list is for people, and is held whole. */
export const LISTED_MAX = 10_000;
/** What is told of damage. */
const DAMAGED_TOLD_MAX = 1000;

/** What it varies by is read of those alone that are listed. */
interface FoundEntry extends Omit<ListedEntry, "variant"> {
  readonly variant: string;
}

/** The higher, the earlier. */
const RANKS: Readonly<Record<ListOrder, (entry: FoundEntry) => number>> = {
  size: ({ bytes }) => bytes,
  age: ({ ageSeconds }) => ageSeconds,
  uses: ({ uses }) => uses,
  expires: ({ freshSeconds }) => -freshSeconds,
};

export async function listStored(keeping: Keeping, query: ListQuery, signal: AbortSignal): Promise<ListOutcome> {
  const { books, clock, shared } = keeping.around;
  const limit = Math.min(query.limit, LISTED_MAX);
  const rank = RANKS[query.order];
  let matching = 0;
  let entries: FoundEntry[] = [];
  const cut = (): void => {
    entries.sort((a, b) => rank(b) - rank(a));
    entries = entries.slice(0, limit);
  };
  const each = (_: EntryId, bytes: Buffer): void => {
    const record = decodeRecord(bytes);
    if (record?.kind !== "answer") return;
    const { key, variant, head, slot, body, purges } = record;
    const url = urlOfKey(key);
    if (!url.includes(query.search) || keeping.purges.judge(purges, key, head.tags) === "gone") return;
    matching++;
    const ageMs = ageOf(head, clock.wallMs());
    entries.push({
      url,
      status: head.status,
      bytes: diskBytes(bytes.length, body.kind === "file" ? body.end - body.start : 0),
      ageSeconds: Math.floor(ageMs / 1000),
      freshSeconds: Math.floor((head.freshMs - ageMs) / 1000),
      uses: shared.frequencyOf(slot),
      tags: head.tags,
      variant,
    });
    // Sorting now and then keeps what is held small, and costs less than keeping it sorted.
    if (entries.length >= 2 * limit + 1000) cut();
  };
  await books.scan(each, signal);
  cut();
  return { matching, entries: entries.map((entry) => ({ ...entry, variant: fieldsOfVariant(entry.variant) })) };
}

const SECRETS = new SecretNames();
const COVERED = "(secret)";

/** A value of a variant is a line of the field's name and value; the name alone: the request did not have it (fills/variants.ts). */
function fieldsOfVariant(variant: string): Readonly<Record<string, string | null>> {
  const fields: Record<string, string | null> = {};
  for (const line of valuesOfVariant(variant)) {
    const [, name = "", value] = /^([^=\n]*)(?:=(.*?))?\n?$/s.exec(line) ?? [];
    const isCovered = value !== undefined && (SECRETS.hasField(name) || SECRETS.isToldBy(value));
    fields[name] = isCovered ? COVERED : (value ?? null);
  }
  return fields;
}

/** Reads all of it, at this pace. Rejects with an Error when that says nothing of what is stored. */
export async function verifyStored(keeping: Keeping, rates: PaceRates, signal: AbortSignal): Promise<VerifyOutcome> {
  const pace = new Pace(keeping.around.clock, rates, signal);
  const memory = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  let entries = 0;
  let bytes = 0;
  const damaged: string[] = [];
  const tell = (url: string): void => {
    if (damaged.length < DAMAGED_TOLD_MAX) damaged.push(url);
  };
  const check = async (id: EntryId, record: AnswerRecord, body: FileBody): Promise<void> => {
    await pace.took(1, 0);
    if (signal.aborted) return;
    const isGood = await verifyBody(keeping, body, memory, pace, signal);
    // What was replaced meanwhile may have lost its file, and is nobody's damage.
    if (!isGood && (await keeping.drop(id, record.version, "damaged"))) tell(urlOfKey(record.key));
    if (!isGood) return;
    entries++;
    bytes += body.end - body.start;
    if (!signal.aborted) keeping.around.shared.setVerified(record.slot);
  };
  const drop = async (id: EntryId, what: string): Promise<void> => {
    if (await keeping.dropDamaged(id)) tell(what);
  };
  // One body at a time, whatever the scan gives at once.
  let before = Promise.resolve();
  const each = (id: EntryId, record: Buffer): void | Promise<void> => {
    const summary = verifyRecord(record);
    if (summary === null) {
      return drop(id, summariseRecord(record) === null ? "a record that cannot be read" : `entry ${id}`);
    }
    if (summary.kind === "vary") return;
    if (summary.body === 0) {
      // Most are such, and nothing has to be made of them.
      const length = storedBytes(record);
      entries++;
      bytes += length;
      before = before.then(() => pace.took(1, length));
      return before;
    }
    const decoded = decodeRecord(record);
    if (decoded?.kind !== "answer" || decoded.body.kind !== "file") return drop(id, `entry ${id}`);
    const { body } = decoded;
    before = before.then(() => check(id, decoded, body));
    return before;
  };
  await keeping.around.books.scan(each, signal);
  return { entries, bytes, damaged };
}

/** Block by block, in `memory` where it has room: one for each would keep the garbage collector busy for as long as this takes. */
async function verifyBody(
  keeping: Keeping,
  body: FileBody,
  memory: Buffer,
  pace: Pace,
  signal: AbortSignal,
): Promise<boolean> {
  let file: BodyFile;
  try {
    file = keeping.around.books.openBody(body.body);
  } catch (error) {
    if (SHORT_OF_FILES.includes((error as { code?: string }).code)) throw error;
    return false;
  }
  try {
    const length = body.end - body.start;
    const room = body.blockBytes > memory.length ? undefined : memory;
    for (let index = 0; index * body.blockBytes < length && !signal.aborted; index++) {
      const at = index * body.blockBytes;
      const block = await file.read(at, Math.min(body.blockBytes, length - at), room);
      if (!verifyBlock(body, index, block)) return false;
      await pace.took(0, block.length);
    }
    return true;
  } catch {
    return false;
  } finally {
    file.letGo();
  }
}
