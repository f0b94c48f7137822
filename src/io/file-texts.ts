/**
 * What files hold, noted as they are read, so that somebody else can go on with it when they cannot be read any more; or read from such a
 * note, and never from a disk.
 */
export class FileTexts {
  readonly #noted: ReadonlyMap<string, string> | null;
  readonly texts = new Map<string, string>();

  /** `noted`: the texts by path; null: they are read. */
  constructor(noted: ReadonlyMap<string, string> | null = null) {
    this.#noted = noted;
  }

  /** `read` is asked unless there is a note. Rejects as it does, or when the note lacks the file. */
  async of(path: string, read: () => Promise<string>): Promise<string> {
    const text = this.#noted === null ? await read() : this.#noted.get(path);
    if (text === undefined) throw new Error("it was not read before");
    this.texts.set(path, text);
    return text;
  }
}
