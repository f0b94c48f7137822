// Stores through reloads: what is configured as before stays, what is not is opened anew and the old one closed a little later,
// and a reload that fails leaves nothing behind.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { SessionStore } from "../core/ports.ts";
import { type StoreByUrl, type StoreConfig, storeReference } from "../identity/stores/options.ts";
import { MemorySessionStore } from "../testing/session-store.ts";
import { VirtualClock } from "../testing/virtual-clock.ts";
import { type OpenedStore, SessionStores } from "./session-stores.ts";
import { TlsFiles } from "./tls-files.ts";

class Stage {
  readonly clock = new VirtualClock();
  readonly events: string[] = [];
  readonly faults: Error[] = [];
  readonly #opened = new Map<string, number>();
  failing: string | null = null;
  closing: Error | null = null;
  readonly stores = new SessionStores(
    (config) => this.#open(config),
    this.clock,
    (fault) => void this.faults.push(fault),
  );

  async plan(...urls: readonly (readonly [name: string, url: string])[]) {
    const stores = urls.map(([name, url]): StoreConfig => {
      return { ...(storeReference().parse(url) as StoreByUrl).settings, name };
    });
    return this.stores.plan(stores, new TlsFiles());
  }

  async #open({ name }: StoreConfig): Promise<OpenedStore> {
    if (name === this.failing) throw new Error(`${name} cannot be opened`);
    const count = (this.#opened.get(name) ?? 0) + 1;
    this.#opened.set(name, count);
    this.events.push(`open ${name}${count}`);
    const store: SessionStore = new MemorySessionStore(this.clock);
    const close = async (): Promise<void> => {
      this.events.push(`close ${name}${count}`);
      if (this.closing !== null) throw this.closing;
    };
    return { store: Object.assign(store, { close }), start: () => void this.events.push(`start ${name}${count}`) };
  }

  /** What has happened since the last call. */
  told(): string[] {
    return this.events.splice(0);
  }
}

const A = "redis://a";
const B = "redis://b";

describe("session stores", () => {
  it("stay as long as their configuration is the same", async () => {
    const stage = new Stage();
    const first = await stage.plan(["a", A], ["b", B]);
    stage.stores.keep(first);
    stage.stores.start();
    assert.deepEqual(stage.told(), ["open a1", "open b1", "start a1", "start b1"]);
    const second = await stage.plan(["a", A], ["c", B]);
    stage.stores.keep(second);
    assert.equal(second.get("a"), first.get("a"));
    assert.deepEqual(stage.told(), ["open c1"]);
    // Exchanges that began before may still ask it.
    stage.clock.advance(29_999);
    assert.deepEqual(stage.told(), []);
    stage.clock.advance(1);
    assert.deepEqual(stage.told(), ["close b1"]);
  });

  it("are opened anew when their configuration is another, a password included", async () => {
    const stage = new Stage();
    stage.stores.keep(await stage.plan(["a", "redis://:one@a"]));
    stage.stores.keep(await stage.plan(["a", "redis://:two@a"]));
    stage.clock.advance(30_000);
    assert.deepEqual(stage.told(), ["open a1", "open a2", "close a1"]);
  });

  it("that are not to be are closed, and those that are there stay", async () => {
    const stage = new Stage();
    stage.stores.keep(await stage.plan(["a", A]));
    stage.told();
    stage.stores.forget(await stage.plan(["a", A], ["b", B]));
    assert.deepEqual(stage.told(), ["open b1", "close b1"]);
    stage.failing = "c";
    await assert.rejects(stage.plan(["a", A], ["b", B], ["c", B]), /c cannot be opened/);
    assert.deepEqual(stage.told(), ["open b2", "close b2"]);
  });

  it("are all closed at the end, also those that were to be closed later; a fault of one is told", async () => {
    const stage = new Stage();
    stage.stores.keep(await stage.plan(["a", A]));
    stage.stores.keep(await stage.plan(["b", B]));
    stage.told();
    stage.closing = new Error("will not close");
    await stage.stores.close();
    assert.deepEqual(stage.told(), ["close a1", "close b1"]);
    assert.deepEqual(stage.faults, [stage.closing, stage.closing]);
    stage.clock.advance(60_000);
    assert.deepEqual(stage.told(), []);
  });
});
