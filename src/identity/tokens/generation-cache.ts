/**
 * Values by text, bounded in number and in the characters of their keys: two maps, a young and an old one. What is
 * asked for moves to the young one; when that is full it becomes the old one, and what nobody has asked for meanwhile
 * is gone. A look-up of what was asked for lately is one look-up in a map, with nothing to reorder.
 */
export class GenerationCache<T> {
  readonly #entriesMax: number;
  readonly #charactersMax: number;
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  #characters = 0;

  /** Of one generation; both together hold up to twice as much. */
  constructor(entriesMax: number, charactersMax: number) {
    this.#entriesMax = entriesMax;
    this.#charactersMax = charactersMax;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): T | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.set(key, old);
    return old;
  }

  set(key: string, value: T): void {
    this.#old.delete(key);
    if (!this.#young.has(key)) {
      if (this.#young.size >= this.#entriesMax || this.#characters + key.length > this.#charactersMax) {
        this.#old = this.#young;
        this.#young = new Map();
        this.#characters = 0;
      }
      this.#characters += key.length;
    }
    this.#young.set(key, value);
  }

  /** What was young counts as if it were there until its generation ends. */
  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
