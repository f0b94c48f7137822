// A keeper that cannot be opened leaves its folder to whoever comes next.

import assert from "node:assert/strict";
import { test } from "node:test";
import { TestFolder } from "../../../test/support/folder.ts";
import { PURGES_FACT } from "../../caching/keeping/purge-log.ts";
import type { CacheConfig } from "../../caching/options.ts";
import { openCacheBooks } from "../../io/cache/open.ts";
import type { AppLog } from "../app-log.ts";
import { openKeeper } from "./open-keeper.ts";

const GiB = 2 ** 30;
const SILENT = { info() {}, error() {} } as unknown as AppLog;

test("a folder whose list of purges is damaged can be opened when it is mended", async () => {
  using folder = new TestFolder();
  const directory = folder.file("cache");
  const config = {
    name: "a",
    directory,
    bytesMax: GiB,
    objectBytesMax: GiB,
    inactiveMs: null,
    freeBytesMin: 0,
    shared: null,
  };
  const broken = openCacheBooks(directory);
  await broken.writeFact(PURGES_FACT, Buffer.from("no list"));
  await broken.close();
  await assert.rejects(openKeeper(config as unknown as CacheConfig, directory, SILENT), /list of purges .* is damaged/);
  const books = openCacheBooks(directory);
  await books.writeFact(PURGES_FACT, Buffer.alloc(0));
  await books.close();
});
