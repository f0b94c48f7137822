// An authentication service: it signs people in on /login and answers Headgate on /verify. Users and sessions are in
// memory.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";

const USERS = new Map([
  ["ann", { password: "rowan", groups: "staff,admins" }],
  ["bob", { password: "birch", groups: "staff" }],
]);
/** By the digest of the cookie, so that who can read the memory of this process cannot use it. */
const sessions = new Map<string, string>();

const digest = (text: string) => createHash("sha256").update(text).digest();
const FORM =
  '<form method="post"><input name="user"><input name="password" type="password"><button>Sign in</button></form>\n';

/** Whose session it is; undefined: nobody's. */
function userOf({ headers }: http.IncomingMessage): string | undefined {
  const [, cookie = ""] = /(?:^|;\s*)session=([\w-]+)/.exec(headers.cookie ?? "") ?? [];
  const [, bearer = ""] = /^Bearer ([\w-]+)$/.exec(headers.authorization ?? "") ?? [];
  return sessions.get(digest(bearer || cookie).toString("hex"));
}

/** What Headgate asks: 2xx lets the request go on, anything else is what the client gets. */
function verify(request: http.IncomingMessage, response: http.ServerResponse): void {
  const user = userOf(request);
  if (user === undefined) {
    response.writeHead(401, { "WWW-Authenticate": 'Bearer realm="demo"' }).end("sign in first\n");
    return;
  }
  const { groups } = USERS.get(user)!;
  const uri = String(request.headers["x-forwarded-uri"]);
  if (/^\/admin(?:[/?]|$)/.test(uri) && !groups.split(",").includes("admins")) {
    response.writeHead(403).end("not for you\n");
    return;
  }
  response.writeHead(200, { "X-User": user, "X-Groups": groups }).end();
}

/** Only back to where the client came from: a link to us must not lead anywhere else. */
function wayBack(request: http.IncomingMessage): string {
  const host = String(request.headers["x-forwarded-host"]);
  const target = URL.parse(new URL(request.url!, "http://localhost").searchParams.get("rd") ?? "");
  return target !== null && target.host === host ? `${target.pathname}${target.search}` : "/";
}

async function login(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  if (request.method !== "POST") {
    response.writeHead(200, { "Content-Type": "text/html" }).end(FORM);
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const user = form.get("user") ?? "";
  const known = USERS.get(user);
  const isRight = timingSafeEqual(
    digest(form.get("password") ?? ""),
    digest(known?.password ?? randomBytes(16).toString("hex")),
  );
  if (known === undefined || !isRight) {
    response.writeHead(401, { "Content-Type": "text/html" }).end(FORM);
    return;
  }
  const session = randomBytes(24).toString("base64url");
  sessions.set(digest(session).toString("hex"), user);
  const cookie = `session=${session}; Path=/; HttpOnly; SameSite=Lax`;
  response.writeHead(303, { "Set-Cookie": cookie, Location: wayBack(request) }).end();
}

const server = http.createServer((request, response) => {
  const { pathname } = new URL(request.url!, "http://localhost");
  if (pathname === "/verify") verify(request, response);
  else if (pathname === "/login") login(request, response).catch(() => response.destroy());
  else response.writeHead(404).end();
});
server.listen(Number(process.env.AUTH_PORT ?? 4181), "127.0.0.1", () => {
  console.log(`auth on port ${(server.address() as AddressInfo).port}`);
});
