// The origin of test/support/redirected-network.ts: it says what it is asked, by HTTP on port 80 and by HTTPS on 443. Its certificate
// and key are its arguments.

import http from "node:http";
import https from "node:https";

const [, , cert, key] = process.argv;

// Whoever has started it is gone, whatever became of it.
process.stdin.on("close", () => process.exit()).resume();

const answer: http.RequestListener = ({ headers, socket }, response) => {
  const from = socket.remoteAddress!.replace("::ffff:", "");
  response.end(`${headers.host} from ${from} via ${headers.via === undefined ? "nobody" : "a proxy"}`);
};

http.createServer(answer).listen(80, "::", () => {
  https.createServer({ cert, key }, answer).listen(443, "::", () => console.log("ready"));
});
