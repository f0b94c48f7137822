/**
 * The `admin` block: where operators speak to the running proxy. It decides which addresses are safe for an interface that
 * asks nobody who they are: a unix socket, which only its owner can open, or a port of this machine's loopback.
 */
import { z } from "zod";
import { listenAddress } from "../core/option-addresses.ts";
import { textKind } from "../core/option-types.ts";
import type { AdminConfig } from "./config.ts";

/** 127.0.0.0/8 and ::1, in the form that a listening address has. */
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1)$/;

function parseAdmin(text: string): AdminConfig | null {
  if (text === "off" || text === "auto") return { kind: text };
  const parsed = listenAddress().safeParse(text);
  if (!parsed.success) return null;
  const address = parsed.data;
  const isSafe = address.kind === "unix" || (address.host !== null && LOOPBACK.test(address.host));
  return isSafe ? { kind: "listen", address } : null;
}

/** The same address on loopback: of ":9000", "localhost:9000", "0.0.0.0:9000", "9000" and "http://127.0.0.1:9000". */
function suggestAdmin(text: string): string | null {
  if (/^\/./.test(text)) return `unix:${text}`;
  const bare = text.replace(/^https?:\/\//i, "").replace(/\/+$/, "");
  if (bare !== text && parseAdmin(bare) !== null) return bare;
  const port = /(?:^|:)(\d{1,5})$/.exec(bare)?.[1];
  return port !== undefined && parseAdmin(`127.0.0.1:${port}`) !== null ? `127.0.0.1:${port}` : null;
}

/** `off`, `auto`, `unix:/run/headgate.sock`, `127.0.0.1:9000` or `[::1]:9000`. */
export const adminAddress = textKind<AdminConfig>({
  id: "adminAddress",
  expected: "unix:/run/headgate.sock, 127.0.0.1:9000, auto or off",
  description:
    "`unix:/run/headgate.sock`, `127.0.0.1:9000`, `[::1]:9000`, `auto` (a socket in the user's runtime folder) or `off`.",
  parse: parseAdmin,
  explain: (text) => {
    const parsed = listenAddress().safeParse(text);
    if (!parsed.success) return null;
    return `${text} is no address of loopback (127.0.0.1, [::1]), and admin asks nobody who they are`;
  },
  suggest: suggestAdmin,
});

export const admin = z.union([
  adminAddress(),
  z
    .strictObject({
      listen: adminAddress().describe(
        "A unix socket, which only the user of the proxy can open, or a port of loopback, which every user of the machine can.",
      ),
    })
    .transform(({ listen }) => listen),
]);
