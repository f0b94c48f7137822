// A git server over HTTP: git's own http-backend behind a handler of node:http (RFC 3875).

import { spawn } from "node:child_process";
import type http from "node:http";

/** Serves the repositories below `root`. */
export function gitHandler(git: string, root: string): http.RequestListener {
  return (request, response) => {
    const { pathname, search } = new URL(request.url ?? "/", "http://git");
    const child = spawn(git, ["http-backend"], {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: "1",
        // Whoever has a user may push.
        REMOTE_USER: "test",
        REQUEST_METHOD: request.method,
        PATH_INFO: decodeURIComponent(pathname),
        QUERY_STRING: search.slice(1),
        CONTENT_TYPE: request.headers["content-type"] ?? "",
        CONTENT_LENGTH: request.headers["content-length"] ?? "",
        HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
        GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
      },
      stdio: ["pipe", "pipe", "ignore"],
    });
    child.stdin.on("error", () => {});
    request.pipe(child.stdin);
    const parts: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    child.on("close", () => answer(Buffer.concat(parts), response));
  };
}

/** A CGI answer: fields, an empty line, the body. */
function answer(output: Buffer, response: http.ServerResponse): void {
  const end = output.indexOf("\r\n\r\n");
  for (const line of output.toString("latin1", 0, Math.max(end, 0)).split("\r\n")) {
    const [, name = "", value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
    if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value, 10);
    else if (name !== "") response.setHeader(name, value);
  }
  if (end < 0) response.statusCode = 500;
  response.end(output.subarray(end + 4));
}
