/**
 * The configuration of Headgate for the scenario external-auth: a plugin asks an endpoint about every request, by Node's own
 * HTTP client with kept connections, and passes on who the user is. It stands for what somebody writes today; a feature of
 * Headgate for it does not exist yet.
 */
import http from "node:http";
import type { Exchange, Feature } from "../../src/index.ts";
import { configWith } from "./config-with.ts";

const agent = new http.Agent({ keepAlive: true });

interface Verdict {
  readonly status: number;
  readonly user: string;
}

function ask(): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    const options = { agent, host: "127.0.0.1", port: Number(process.env.AUTH_PORT), path: "/auth" };
    http
      .get(options, (answer) => {
        answer.resume();
        answer.once("error", reject);
        answer.once("end", () => {
          resolve({ status: answer.statusCode ?? 0, user: String(answer.headers["x-user"] ?? "") });
        });
      })
      .once("error", reject);
  });
}

const externalAuth: Feature = {
  name: "external-auth",
  async request(exchange: Exchange) {
    const { status, user } = await ask();
    if (exchange.ended) return;
    if (status >= 300) exchange.respond({ status });
    else exchange.request.fields.set("X-User", user);
  },
};

export default configWith(externalAuth);
