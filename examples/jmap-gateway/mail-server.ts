// Stands for a JMAP server such as Cyrus: every request needs HTTP Basic, and the answer says who asked. Its users have their own
// names as passwords, backwards: "alice" has "ecila".

import { createServer } from "node:http";

const server = createServer((request, response) => {
  const [, encoded = ""] = /^Basic ([A-Za-z0-9+/=]+)$/.exec(request.headers.authorization ?? "") ?? [];
  const [user = "", password = ""] = Buffer.from(encoded, "base64").toString().split(/:(.*)/s);
  if (user === "" || password !== [...user].reverse().join("")) {
    response.writeHead(401, { "WWW-Authenticate": 'Basic realm="mail"' }).end("Basic is demanded\n");
    return;
  }
  response.setHeader("Content-Type", "application/json");
  response.end(`${JSON.stringify({ user, path: request.url, cookie: request.headers.cookie ?? null })}\n`);
});

server.listen(Number(process.env.MAIL_PORT ?? 5000), "127.0.0.1", () => {
  const address = server.address();
  console.log(`mail server on port ${typeof address === "object" ? address?.port : address}`);
});
