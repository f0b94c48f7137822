// Debian's Chromium without a window: a page's DOM, loaded through a proxy, with a profile of its own and nobody else to talk to.

import type { TestFolder } from "../folder.ts";
import { runClient } from "./client-program.ts";

/** Without these it looks for updates and for its maker's services, through the proxy as well. */
const ALONE = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-default-apps",
  "--disable-extensions",
  "--disable-sync",
];

/** The DOM of a page as text. `flags` say which proxy is used, and what is trusted beside the NSS database of the home. */
export async function domOf(url: string, home: TestFolder, flags: readonly string[]): Promise<string> {
  const args = [...ALONE, `--user-data-dir=${home.file("profile")}`, ...flags, "--dump-dom", url];
  const { status, stdout, stderr } = await runClient("chromium", args, { home: home.path });
  if (status !== 0) throw new Error(`chromium ended with ${status}: ${stderr}`);
  return stdout;
}

/** Makes the NSS database of a home, from which Chromium takes the CAs that its user trusts, and puts one there. */
export async function trustInChromium(home: TestFolder, caFile: string): Promise<void> {
  const database = `sql:${home.file(".pki/nssdb")}`;
  await runClient("mkdir", ["-p", home.file(".pki/nssdb")], { home: home.path });
  for (const args of [
    ["-N", "--empty-password"],
    ["-A", "-n", "test", "-t", "C,,", "-i", caFile],
  ]) {
    const { status, stderr } = await runClient("certutil", ["-d", database, ...args], { home: home.path });
    if (status !== 0) throw new Error(`certutil ${args[0]}: ${stderr}`);
  }
}
