/**
 * What is stored, as a thread finds it: ready-made answers in hot memory, and behind it the records. A hit in memory costs one look-up
 * and the comparison of two numbers in shared memory, makes nothing, and sends nothing; only when a number differs the record is looked
 * at again. What this thread has invalidated is not found from that moment on, whether the keeper knows it yet or not.
 */
import type { FieldBlock } from "../../core/fields.ts";
import type { Clock } from "../../core/ports.ts";
import type { AnswerBody, AnswerHead, CachedAnswer } from "../cache.ts";
import { entryIdOf, variantOf } from "../keeping/entry-id.ts";
import type { AnswerRecord, VaryRecord } from "../keeping/record.ts";
import { type FoundRecord, StoredReader } from "../keeping/stored-reader.ts";
import type { CacheDisk, EntryId } from "../ports.ts";
import type { SharedCache } from "../shared.ts";
import { HotEntry, HotMemory } from "./hot-memory.ts";
import { KnownVariants } from "./known-variants.ts";
import { Leaving } from "./leaving.ts";
import type { OpenFiles } from "./open-files.ts";
import { MemoryBody, StoredFile, type StoredFileOwner } from "./stored-body.ts";
import { NO_NAMES, valuesOf } from "./variants.ts";

/** What an entry takes beside its texts and bytes: objects, maps, the tables of its fields. */
const ENTRY_BYTES = 800;

/** A stored answer, ready to be given. */
export class StoredAnswer extends HotEntry implements CachedAnswer {
  readonly isVary = false;
  readonly version: number;
  readonly head: AnswerHead;
  readonly body: AnswerBody;
  readonly id: EntryId;
  readonly key: string;
  readonly slot: number;
  readonly shard: number;
  /** At which it was good. */
  epoch: number;
  purges: number;

  constructor(hotKey: string, id: EntryId, { record, shard, epoch, purges }: FoundAnswer, body: AnswerBody) {
    const bodyBytes = record.body.kind === "inline" ? record.body.bytes.length : record.body.checksums.byteLength;
    super(hotKey, 2 * hotKey.length + 2 * record.head.fields.bytes.length + bodyBytes + ENTRY_BYTES);
    this.version = record.version;
    this.head = record.head;
    this.body = body;
    this.id = id;
    this.key = record.key;
    this.slot = record.slot;
    this.shard = shard;
    this.epoch = epoch;
    this.purges = purges;
  }

  override left(): void {
    if (this.body instanceof StoredFile) this.body.retire();
  }
}

type FoundAnswer = FoundRecord & { readonly record: AnswerRecord };

/** By what the answers of a key vary. */
class HotVary extends HotEntry {
  readonly isVary = true;
  readonly names: readonly string[];
  readonly generation: string;
  readonly shard: number;
  readonly slot: number;
  readonly known: KnownVariants;
  /** At which it was good. */
  epoch: number;

  constructor(
    hotKey: string,
    { names, generation, slot }: Pick<VaryRecord, "names" | "generation" | "slot">,
    shard: number,
    epoch: number,
  ) {
    super(hotKey, 2 * hotKey.length + ENTRY_BYTES);
    this.slot = slot;
    this.names = names;
    this.known = new KnownVariants(names);
    this.generation = generation;
    this.shard = shard;
    this.epoch = epoch;
  }
}

export interface StoredAnswersParts {
  readonly disk: CacheDisk;
  readonly shared: SharedCache;
  readonly clock: Clock;
  readonly hotBytesMax: number;
  readonly openFiles: OpenFiles;
  /** What stands there is not what was written. `version` 0: not even the record verifies. */
  readonly onDamaged: (id: EntryId, version: number) => void;
}

/** Where a request's answer would be found. */
export interface Place {
  /** By which fields answers of the key vary, as far as it is stored. */
  readonly names: readonly string[];
  readonly id: EntryId;
}

export class StoredAnswers {
  readonly #parts: StoredAnswersParts;
  readonly #shared: SharedCache;
  readonly #clock: Clock;
  readonly #reader: StoredReader;
  readonly #hot: HotMemory<StoredAnswer | HotVary>;
  /** What was invalidated here and is not gone yet. */
  readonly leaving = new Leaving();

  constructor(parts: StoredAnswersParts) {
    this.#parts = parts;
    this.#shared = parts.shared;
    this.#clock = parts.clock;
    this.#reader = new StoredReader(parts.disk, parts.shared, (id) => parts.onDamaged(id, 0));
    this.#hot = new HotMemory(parts.hotBytesMax);
  }

  get hotBytes(): number {
    return this.#hot.bytes;
  }

  find(key: string, request: FieldBlock): StoredAnswer | null {
    const answer = this.#find(key, request);
    if (answer === null || this.leaving.has(answer.id, answer.version, key, answer.head.tags)) return null;
    this.#shared.use(answer.slot, Math.floor(this.#clock.wallMs() / 1000));
    return answer;
  }

  /** Where the answer to this request would be. */
  placeOf(key: string, request: FieldBlock): Place {
    const vary = this.#varyOf(key);
    if (vary === null) return { names: NO_NAMES, id: entryIdOf(key, "") };
    return { names: vary.names, id: entryIdOf(key, variantOf(vary.generation, valuesOf(request, vary.names))) };
  }

  #find(key: string, request: FieldBlock): StoredAnswer | null {
    const hot = this.#hot.get(key);
    if (hot === undefined) return this.#findCold(key, request);
    if (!hot.isVary) return this.#isGood(hot) ? hot : this.#findAgain(hot, request);
    if (!this.#reader.isUnchanged(hot.shard, hot.epoch)) return this.#findCold(key, request);
    return this.#findVariant(key, hot, request);
  }

  #findVariant(key: string, vary: HotVary, request: FieldBlock): StoredAnswer | null {
    // Without it none of its variants is found: it goes no sooner than they do.
    this.#shared.use(vary.slot, Math.floor(this.#clock.wallMs() / 1000));
    const known = vary.known.find(request);
    const variant = known?.variant ?? variantOf(vary.generation, valuesOf(request, vary.names));
    const hotKey = known?.hotKey ?? `${key}\0${variant}`;
    const hot = this.#hot.get(hotKey);
    const kept = hot?.isVary === false ? hot : null;
    const isGood = kept !== null && this.#isGood(kept);
    const answer = isGood ? kept : this.#load(hotKey, entryIdOf(key, variant), key, variant, kept);
    if (known === null && answer !== null) this.#hot.grow(vary, vary.known.remember(request, variant, hotKey));
    return answer;
  }

  /** Whether it is as good as when it was looked at last. */
  #isGood(hot: StoredAnswer): boolean {
    if (!this.#reader.isUnchanged(hot.shard, hot.epoch)) return false;
    const { purges } = this.#reader;
    if (hot.purges === purges) return true;
    if (this.#reader.judge(hot.purges, hot.key, hot.head.tags) !== "good") return false;
    hot.purges = purges;
    return true;
  }

  #findAgain(hot: StoredAnswer, request: FieldBlock): StoredAnswer | null {
    const found = this.#reader.read(hot.id);
    if (found?.record.kind === "vary") return this.#findCold(hot.key, request);
    return this.#take(hot.hotKey, hot.id, hot.key, "", found, hot);
  }

  #findCold(key: string, request: FieldBlock): StoredAnswer | null {
    const id = entryIdOf(key, "");
    const found = this.#reader.read(id);
    if (found?.record.kind !== "vary") return this.#take(key, id, key, "", found, null);
    const vary = this.#takeVary(key, found);
    return vary === null ? null : this.#findVariant(key, vary, request);
  }

  #takeVary(key: string, { record, shard, epoch }: FoundRecord): HotVary | null {
    // Another key with the same id would take a chance of one in 2^128, or somebody who looks for it.
    if (record.kind !== "vary" || record.key !== key) return null;
    const hot = this.#hot.get(key);
    if (hot?.isVary === true && hot.generation === record.generation && hot.slot === record.slot) {
      hot.epoch = epoch;
      return hot;
    }
    const vary = new HotVary(key, record, shard, epoch);
    this.#hot.put(vary);
    return vary;
  }

  #varyOf(key: string): HotVary | null {
    const hot = this.#hot.get(key);
    if (hot !== undefined && this.#reader.isUnchanged(hot.shard, hot.epoch)) return hot.isVary ? hot : null;
    const found = this.#reader.read(entryIdOf(key, ""));
    return found === null ? null : this.#takeVary(key, found);
  }

  #load(hotKey: string, id: EntryId, key: string, variant: string, hot: StoredAnswer | null): StoredAnswer | null {
    return this.#take(hotKey, id, key, variant, this.#reader.read(id), hot);
  }

  /** What was read, as an answer; `hot` is what was known of it. */
  #take(
    hotKey: string,
    id: EntryId,
    key: string,
    variant: string,
    found: FoundRecord | null,
    hot: StoredAnswer | null,
  ): StoredAnswer | null {
    if (found === null || !isAnswerOf(found, key, variant)) {
      if (hot !== null) this.#hot.delete(hot);
      return null;
    }
    const { record, epoch, purges } = found;
    if (hot !== null && hot.version === record.version && hot.head.flags === record.head.flags) {
      hot.epoch = epoch;
      hot.purges = purges;
      return hot;
    }
    const { body } = record;
    const bytes = record.head.bodyBytes;
    const answer = new StoredAnswer(
      hotKey,
      id,
      found,
      body.kind === "inline"
        ? new MemoryBody(body, bytes)
        : new StoredFile(this.#fileOwner(id, record), this.#parts.openFiles, body, bytes),
    );
    this.#hot.put(answer);
    return answer;
  }

  #fileOwner(id: EntryId, { version, slot, body }: AnswerRecord): StoredFileOwner {
    const { disk, onDamaged } = this.#parts;
    const number = body.kind === "file" ? body.body : 0;
    return {
      open: () => disk.openBody(number),
      isVerified: () => this.#shared.isVerified(slot),
      onVerified: () => {
        // The slot may be another answer's by now.
        const record = this.#reader.read(id)?.record;
        if (record?.version === version && record.slot === slot) this.#shared.setVerified(slot);
      },
      onBad: () => onDamaged(id, version),
    };
  }
}

function isAnswerOf(found: FoundRecord, key: string, variant: string): found is FoundAnswer {
  const { record } = found;
  return record.kind === "answer" && record.key === key && record.variant === variant;
}
