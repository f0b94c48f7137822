// What an operator does to the CA of interception: a CA is made whole, for its owner alone, and never over another one.

import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync } from "node:fs";
import os from "node:os";
import { test } from "node:test";
import { TestFolder } from "../../test/support/folder.ts";
import { AuthorityOperatorError, type AuthorityWish, initAuthority, showAuthority } from "./authority-operator.ts";
import { loadAuthority } from "./interception-authority.ts";
import { clock } from "./surroundings.ts";

const isRoot = process.getuid?.() === 0;
const modeOf = (file: string): string => (statSync(file).mode & 0o777).toString(8);

const init = (folder: string, wish: Partial<AuthorityWish> = {}) => initAuthority({ folder, replaces: false, ...wish });

async function refused(done: Promise<unknown>, message: string | RegExp, isUsage = false): Promise<void> {
  await assert.rejects(done, (error) => {
    assert.ok(error instanceof AuthorityOperatorError, String(error));
    if (typeof message === "string") assert.equal(error.message, message);
    else assert.match(error.message, message);
    assert.equal(error.isUsage, isUsage);
    return true;
  });
}

test("a CA is made for its owner alone, and can be used", async () => {
  using folder = new TestFolder();
  const place = folder.file("missing/too/ca");
  const shown = await init(place, { hosts: "*.example.org, Example.NET,10.0.0.0/8,[::1]", days: "10", name: "Our CA" });
  assert.equal(shown.subject, "CN=Our CA");
  assert.equal(shown.constraints, "only example.org and below, example.net and below, 10.0.0.0/8, ::1/128");
  assert.ok(Math.abs(shown.notAfter.getTime() - Date.now() - 10 * 86_400_000) < 60_000);
  assert.deepEqual(readdirSync(place).sort(), ["ca.key", "ca.pem"]);
  assert.deepEqual([modeOf(place), modeOf(shown.keyFile)], ["700", "600"]);
  // Folders above may have more to hold than a CA.
  assert.notEqual(modeOf(folder.file("missing")), "700");
  const { authority } = await loadAuthority(place, [], [], clock);
  assert.equal(authority.certificate.x509.fingerprint256, shown.fingerprint);
  const { hosts: _, wider, ...again } = shown;
  assert.deepEqual(await showAuthority(place), again);
  assert.match(
    wider ?? "",
    /^wider than asked, .*: \*\.example\.org permits example\.org as well, example\.net permits all/,
  );
  assert.match(shown.warnings.join(), /^the CA expires on /);
});

test("by default it may certify any name, for five years, and is named by its machine", async () => {
  using folder = new TestFolder();
  const { constraints, notAfter, subject, warnings } = await init(folder.file("ca"));
  assert.equal(constraints, null);
  assert.ok(Math.abs(notAfter.getTime() - Date.now() - 1825 * 86_400_000) < 60_000);
  assert.ok(subject.startsWith(`CN=Headgate CA (${os.hostname()}`.slice(0, 40)), subject);
  assert.deepEqual(warnings, []);
});

test("nothing is written over a CA, or half of one, or through a link", async () => {
  using folder = new TestFolder();
  const exists = (file: string): string =>
    `${folder.file(file)} exists already; --force makes a new CA in its place: every client would have to trust the new one`;
  await init(folder.file("ca"));
  const before = [folder.read("ca/ca.pem"), folder.read("ca/ca.key")];
  await refused(init(folder.file("ca")), exists("ca/ca.key"));
  assert.deepEqual([folder.read("ca/ca.pem"), folder.read("ca/ca.key")], before);

  mkdirSync(folder.file("half"));
  folder.write("half/ca.pem", "mine");
  await refused(init(folder.file("half")), exists("half/ca.pem"));
  assert.deepEqual(readdirSync(folder.file("half")), ["ca.pem"]);

  mkdirSync(folder.file("linked"));
  symlinkSync(folder.file("elsewhere"), folder.file("linked/ca.key"));
  await refused(init(folder.file("linked")), exists("linked/ca.key"));
  assert.ok(!readdirSync(folder.path).includes("elsewhere"));
});

test("with force it is replaced, and the new key is as secret as the old one should have been", async () => {
  using folder = new TestFolder();
  const { fingerprint } = await init(folder.file("ca"));
  chmodSync(folder.file("ca/ca.key"), 0o644);
  assert.notEqual((await init(folder.file("ca"), { replaces: true })).fingerprint, fingerprint);
  assert.equal(modeOf(folder.file("ca/ca.key")), "600");
  assert.deepEqual(readdirSync(folder.file("ca")).sort(), ["ca.key", "ca.pem"]);
  assert.deepEqual((await loadAuthority(folder.file("ca"), [], [], clock)).warningsAt(clock.wallMs()), []);
});

test("a mistake in a flag is told, and nothing is made", async () => {
  using folder = new TestFolder();
  const wrong = (wish: Partial<AuthorityWish>, message: string) =>
    refused(init(folder.file("ca"), wish), message, true);
  const hosts = "--hosts: expected names and networks with commas between them, such as *.example.org,10.0.0.0/8, got ";
  for (const text of ["https://example.org", "example.org:443", "a b", "*.*", "10.0.0.0/33"]) {
    await wrong({ hosts: `ok.example,${text}` }, `${hosts}${JSON.stringify(text)}`);
  }
  await wrong({ hosts: "example.org," }, `${hosts}""`);
  await wrong({ hosts: "*" }, "--hosts: leave it out for a CA that may certify any name");
  await wrong({ hosts: "10.1.0.0/8" }, "--hosts: 10.1.0.0/8 is no network; did you mean 10.0.0.0/8?");
  for (const days of ["0", "-1", "ten", "7301", "1.5", ""]) {
    await wrong({ days }, `--days: expected a number from 1 to 7300, got ${JSON.stringify(days)}`);
  }
  for (const name of ["", " x", "x".repeat(65), "a\nb", "a\u202eb", "\ud800"]) {
    await wrong({ name }, "--name: expected a name of at most 64 characters");
  }
  assert.deepEqual(readdirSync(folder.path), []);
});

test("where it cannot be made, that is told", async () => {
  using folder = new TestFolder();
  const file = folder.write("file", "");
  const words = "(this is not a folder|a part of the path is not a folder, or cannot be made)";
  await refused(init(`${file}/ca`), new RegExp(`^cannot make the folder ${file}/ca: ${words}$`));
  await refused(init(file), new RegExp(`^cannot write ${file}/ca\\.key: ${words}$`));
});

test("where this user may not write, that is told", { skip: isRoot && "root may write everywhere" }, async () => {
  using folder = new TestFolder();
  chmodSync(folder.path, 0o500);
  const place = folder.file("ca");
  await refused(init(place), `cannot make the folder ${place}: permission denied; name another folder with --dir`);
  chmodSync(folder.path, 0o700);
});

test("what is no CA is told with its file", async () => {
  using folder = new TestFolder();
  const hint = "make one with headgate ca init, or name its folder with --dir";
  await refused(showAuthority(folder.file("ca")), `${folder.file("ca")}: there is no CA here; ${hint}`);
  const file = folder.write("ca.pem", "no PEM");
  const words = "no certificate is in this file: it is not a PEM file, or is not complete";
  await refused(showAuthority(folder.path), `${file}: ${words}`);
});
