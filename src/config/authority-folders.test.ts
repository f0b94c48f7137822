// Where the CA, its leaves and caches are when nobody says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultAuthorityFolder, defaultCacheFolder, defaultLeafFolder } from "./authority-folders.ts";

test("of the system for root, of the user for everybody else", () => {
  const cases = [
    [0, {}, "/etc/headgate/ca", "/var/cache/headgate/leaves"],
    [0, { XDG_DATA_HOME: "/data", CACHE_DIRECTORY: "/var/cache/gate" }, "/etc/headgate/ca", "/var/cache/gate/leaves"],
    [1000, {}, "/home/alice/.local/share/headgate/ca", "/home/alice/.cache/headgate/leaves"],
    [1000, { XDG_DATA_HOME: "/data/", XDG_CACHE_HOME: "/cache" }, "/data/headgate/ca", "/cache/headgate/leaves"],
    [
      1000,
      { XDG_DATA_HOME: "data", XDG_CACHE_HOME: "" },
      "/home/alice/.local/share/headgate/ca",
      "/home/alice/.cache/headgate/leaves",
    ],
    [
      1000,
      { CACHE_DIRECTORY: "/var/cache/a:/var/cache/b" },
      "/home/alice/.local/share/headgate/ca",
      "/var/cache/a/leaves",
    ],
    [null, {}, "/home/alice/.local/share/headgate/ca", "/home/alice/.cache/headgate/leaves"],
  ] as const;
  for (const [uid, env, authority, leaves] of cases) {
    const owner = { uid, env, home: "/home/alice" };
    assert.equal(defaultAuthorityFolder(owner), authority, JSON.stringify(owner));
    assert.equal(defaultLeafFolder(owner), leaves, JSON.stringify(owner));
    const cache = leaves.replace(/leaves$/, "caches/default");
    assert.equal(defaultCacheFolder(owner, "default"), cache, JSON.stringify(owner));
  }
});
