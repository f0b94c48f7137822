// Reads the one answer of a connection on which nothing is sent ahead, by rules of its own: it shares no code with the proxy.
// It is strict where it matters here: an answer that is not framed, or has bytes behind it, is an error.

const EMPTY = Buffer.alloc(0);

type State = "head" | "length" | "size" | "chunk" | "line end" | "trailers" | "complete";

export class AnswerReader {
  status = 0;
  readonly fields = new Map<string, string>();
  readonly body: Buffer[] = [];
  /** A 100 (Continue) came. */
  mayContinue = false;
  readonly #toHead: boolean;
  #state: State = "head";
  #left = 0;
  #kept: Buffer = EMPTY;

  /** `toHead`: the request was HEAD. */
  constructor(toHead: boolean) {
    this.#toHead = toHead;
  }

  get complete(): boolean {
    return this.#state === "complete";
  }

  /** A final head was read. */
  get begun(): boolean {
    return this.#state !== "head";
  }

  /** Throws an Error at what is no answer. */
  push(chunk: Buffer): void {
    this.#kept = this.#kept.length === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    while (this.#kept.length > 0) {
      if (this.complete) throw new Error(`${this.#kept.length} bytes behind the answer`);
      if (!this.#step()) return;
    }
  }

  /** false: there is too little of it. */
  #step(): boolean {
    switch (this.#state) {
      case "head":
        return this.#takeHead();
      case "length":
      case "chunk":
        return this.#takeBody();
      default: {
        const line = this.#takeLine();
        if (line === null) return false;
        this.#useLine(line);
        return true;
      }
    }
  }

  #takeHead(): boolean {
    const end = this.#kept.indexOf("\r\n\r\n");
    if (end < 0) return false;
    const [statusLine = "", ...lines] = this.#kept.toString("latin1", 0, end).split("\r\n");
    this.#kept = this.#kept.subarray(end + 4);
    this.status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
    if (Number.isNaN(this.status)) throw new Error(`a status line: ${statusLine}`);
    if (this.status < 200) {
      this.mayContinue ||= this.status === 100;
      return true;
    }
    for (const line of lines) {
      const colon = line.indexOf(":");
      this.fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    this.#begin();
    return true;
  }

  #begin(): void {
    const length = this.fields.get("content-length");
    const isChunked = this.fields.get("transfer-encoding") === "chunked";
    if (!this.#toHead && isChunked === (length !== undefined)) throw new Error("framed in two ways, or in none");
    this.#left = Number(length ?? 0);
    if (this.#toHead || (!isChunked && this.#left === 0)) this.#state = "complete";
    else this.#state = isChunked ? "size" : "length";
  }

  #takeBody(): boolean {
    const bytes = Math.min(this.#left, this.#kept.length);
    this.body.push(this.#kept.subarray(0, bytes));
    this.#kept = this.#kept.subarray(bytes);
    this.#left -= bytes;
    if (this.#left === 0) this.#state = this.#state === "chunk" ? "line end" : "complete";
    return true;
  }

  #takeLine(): string | null {
    const end = this.#kept.indexOf("\r\n");
    if (end < 0) return null;
    const line = this.#kept.toString("latin1", 0, end);
    this.#kept = this.#kept.subarray(end + 2);
    return line;
  }

  #useLine(line: string): void {
    if (this.#state === "size") {
      if (!/^[0-9a-f]+$/i.test(line)) throw new Error(`a chunk size: ${JSON.stringify(line)}`);
      this.#left = Number.parseInt(line, 16);
      this.#state = this.#left === 0 ? "trailers" : "chunk";
    } else if (this.#state === "line end") {
      if (line !== "") throw new Error("a chunk that is longer than its size");
      this.#state = "size";
    } else if (line === "") this.#state = "complete";
  }
}
