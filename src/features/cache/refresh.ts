/**
 * Fetches anew what is given stale meanwhile (RFC 5861, section 3). Nobody waits for it: when somebody else fetches it already, or it
 * cannot be fetched for now, there is nothing to do.
 */
import type { AcquireHandler, Fill } from "../../caching/cache.ts";
import type { CacheContext } from "./context.ts";
import { Download, type DownloadJob } from "./download.ts";

export class Refresh implements AcquireHandler {
  readonly #context: CacheContext;
  readonly #job: DownloadJob;
  readonly #onOver: () => void;

  /** `onOver`: the next one may begin. The job's request belongs to it. */
  constructor(context: CacheContext, job: DownloadJob, onOver: () => void) {
    this.#context = context;
    this.#job = job;
    this.#onOver = onOver;
  }

  begin(): void {
    const { key, template, seen, aim } = this.#job;
    this.#context.cache.acquire(key, template.fields, seen, this, aim === "range");
  }

  onFill(fill: Fill): void {
    this.#onOver();
    new Download(this.#context, fill, this.#job, null).begin();
  }

  onAnswer(): void {
    this.#drop();
  }

  onStored(): void {
    this.#drop();
  }

  onPass(): void {
    this.#drop();
  }

  #drop(): void {
    this.#onOver();
    this.#job.template.fields.release();
  }
}
