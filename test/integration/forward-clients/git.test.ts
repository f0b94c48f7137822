// git through the forward proxy: clone over HTTPS and push, by CONNECT, and clone over HTTP.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { runClient } from "../../support/forward-clients/client-program.ts";
import { gitHandler } from "../../support/forward-clients/git-server.ts";
import { ForwardClientsStage } from "../../support/forward-clients/stage.ts";
import { findCommand, needs } from "../../support/requirements.ts";

describe("git", { skip: needs("git") }, () => {
  test("clones over HTTPS, pushes, and clones over HTTP", { timeout: 90_000 }, async () => {
    let serve: ReturnType<typeof gitHandler> | null = null;
    await using stage = await ForwardClientsStage.start((request, response) => serve!(request, response));
    const home = stage.folder.path;
    const root = stage.folder.file("server");
    serve = gitHandler(findCommand("git")!, root);
    mkdirSync(root);
    const git = async (cwd: string, ...args: readonly string[]): Promise<string> => {
      const who = { GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@a.example", GIT_CONFIG_NOSYSTEM: "1" };
      const env = { ...who, GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@a.example", GIT_TERMINAL_PROMPT: "0" };
      const { status, stdout, stderr } = await runClient("git", args, { home, cwd, env });
      assert.equal(status, 0, `git ${args.join(" ")}: ${stderr}`);
      return stdout;
    };
    await git(home, "init", "-q", "--bare", "-b", "main", "server/project.git");
    await git(home, "config", "--global", "http.proxy", stage.proxyUrl);
    await git(home, "config", "--global", "http.sslCAInfo", stage.ca);
    const url = stage.httpsUrl("/project.git");
    await git(home, "clone", "-q", url, "one");
    const one = path.join(home, "one");
    // More than git sends in one piece: the push then comes in chunks, without a length.
    writeFileSync(
      path.join(one, "large"),
      Buffer.alloc(2 * 1024 * 1024, 1).map(() => Math.random() * 256),
    );
    await git(one, "add", "large");
    await git(one, "commit", "-q", "-m", "first");
    await git(one, "push", "-q", "origin", "HEAD:main");
    await git(home, "clone", "-q", stage.httpUrl("/project.git"), "two");
    assert.equal(await git(path.join(home, "two"), "log", "--format=%s"), "first\n");
    const lines = await stage.logged();
    const tunnels = lines.filter(({ method }) => method === "CONNECT");
    const plain = lines.filter(({ method }) => method !== "CONNECT");
    assert.ok(tunnels.length >= 2 && plain.length >= 2, JSON.stringify(lines));
    for (const { status } of lines) assert.equal(status, 200);
  });
});
