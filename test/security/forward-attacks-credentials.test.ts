// Attacks on who may use the proxy: credentials that are doubled, malformed or guessed, and those that would leak: to an origin, into
// a log, onto an error page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { hash } from "@node-rs/bcrypt";
import { Folder } from "../cli/headgate.ts";
import { AttackedProxy, assertRefused } from "../support/forward-attack.ts";
import { ANYWHERE, forwardConfig } from "../support/forward-stage.ts";
import { Origin } from "../support/origin.ts";
import { ProxyUnderTest } from "../support/proxy-under-test.ts";
import { RawClient } from "../support/raw-client.ts";

const TIMEOUT = { timeout: 120_000 };
const SECRET = "t0psecret-of-ci";
const USERS = { ci: await hash(SECRET, 4), guest: await hash("guest", 4) };
const AUTH = { basic: { users: USERS } };

function basic(login: string, name = "Proxy-Authorization"): string {
  return `${name}: Basic ${Buffer.from(login).toString("base64")}\r\n`;
}

const GOOD = basic(`ci:${SECRET}`);

describe("credentials", () => {
  test("that are missing, doubled, malformed or another scheme's: 407, and no origin is asked", TIMEOUT, async () => {
    let asked = 0;
    await using origin = await Origin.start((_request, response) => {
      asked++;
      response.end("ok");
    });
    await using attacked = await AttackedProxy.start({ auth: AUTH, allow: [ANYWHERE] });
    const authority = `127.0.0.1:${origin.port}`;
    const cases: readonly [what: string, lines: string, reason: string][] = [
      ["none", "", "credentials_missing"],
      ["for the origin", basic(`ci:${SECRET}`, "Authorization"), "credentials_missing"],
      ["twice the same", GOOD + GOOD, "credentials_malformed"],
      ["two users", GOOD + basic("guest:guest"), "credentials_malformed"],
      ["good and bad", basic("ci:wrong") + GOOD, "credentials_malformed"],
      ["a list", `Proxy-Authorization: Basic YTpi, Basic YTpi\r\n`, "credentials_malformed"],
      ["no base64", "Proxy-Authorization: Basic !!!!\r\n", "credentials_malformed"],
      ["no colon", basic("ci"), "credentials_malformed"],
      ["nothing", "Proxy-Authorization: Basic\r\n", "credentials_malformed"],
      ["controls", basic(`ci:${SECRET}\0`), "credentials_malformed"],
      ["another scheme", "Proxy-Authorization: Bearer abc\r\n", "credentials_missing"],
      ["a wrong password", basic("ci:wrong"), "password_wrong"],
      ["nobody", basic(`nobody:${SECRET}`), "password_wrong"],
      ["another case", basic(`CI:${SECRET}`), "password_wrong"],
      ["more behind", basic(`ci:${SECRET}x`), "password_wrong"],
      ["a part", basic(`ci:${SECRET.slice(0, -1)}`), "password_wrong"],
    ];
    for (const [what, lines, reason] of cases) {
      for (const attempt of [
        await attacked.tunnel(authority, lines),
        await attacked.get(`http://${authority}/`, lines),
      ]) {
        assertRefused(attempt, 407, reason, what);
        assert.match(attempt.answer.fields.get("proxy-authenticate") ?? "", /^Basic realm=/, what);
        assert.equal(attempt.line.user, undefined, what);
      }
    }
    assert.equal(asked, 0);
    const { line } = await attacked.get(`http://${authority}/`, GOOD);
    assert.deepEqual([line.status, line.user], [200, "ci"]);
  });

  test("of one request are not those of the next one on the same connection", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("ok"));
    await using attacked = await AttackedProxy.start({ auth: AUTH, allow: [ANYWHERE] });
    using client = await attacked.connect();
    const authority = `127.0.0.1:${origin.port}`;
    const request = (lines: string) => `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n${lines}\r\n`;
    const statuses: number[] = [];
    for (const lines of [GOOD, "", GOOD]) {
      client.send(request(lines));
      statuses.push((await client.answer()).status);
      await attacked.nextLine();
    }
    assert.deepEqual(statuses, [200, 407, 200]);
  });

  test("that are guessed: 429 for the address, and the right ones do not show", TIMEOUT, async () => {
    const basicAuth = { users: USERS, failedAttempts: 5 };
    await using attacked = await AttackedProxy.start({ auth: { basic: basicAuth }, allow: [ANYWHERE] });
    const target = "127.0.0.1:9";
    let blocked = 0;
    // A minute may begin meanwhile, with which counting begins anew.
    for (let guess = 0; guess < 12 || blocked === 0; guess++) {
      const attempt = await attacked.tunnel(target, basic(`ci:guess-${guess}`));
      if (attempt.answer.status !== 429) {
        assertRefused(attempt, 407, "password_wrong", `guess ${guess}`);
        continue;
      }
      blocked++;
      assertRefused(attempt, 429, "too_many_failures", `guess ${guess}`);
      assert.match(attempt.answer.fields.get("retry-after") ?? "", /^\d+$/);
    }
    const right = await attacked.tunnel(target, GOOD);
    assert.ok([429, 502].includes(right.answer.status), "502: another minute has begun");
  });

  test("users whom a rule does not name get nothing by it, and one who has no name is asked", TIMEOUT, async () => {
    await using origin = await Origin.start((_request, response) => response.end("ok"));
    await using attacked = await AttackedProxy.start({
      auth: { ...AUTH, optional: true },
      allow: [{ ...ANYWHERE, name: "ci", users: ["ci"] }],
    });
    const url = `http://127.0.0.1:${origin.port}/`;
    assertRefused(await attacked.get(url), 407, "credentials_missing", "nobody");
    assertRefused(await attacked.get(url, basic("guest:guest")), 403, "nothing_allows", "guest");
    const { line } = await attacked.get(url, GOOD);
    assert.deepEqual([line.status, line.rule, line.user], [200, "ci", "ci"]);
  });
});

describe("secrets", () => {
  const encoded = Buffer.from(`ci:${SECRET}`).toString("base64");
  const isClean = (text: string, what: string) => {
    assert.ok(!text.includes(SECRET), `${what} has the password`);
    assert.ok(!text.includes(encoded), `${what} has the credentials`);
  };

  test("reach neither the origin nor a log nor an error page, whatever becomes of the request", TIMEOUT, async () => {
    let received = "";
    await using origin = await Origin.start((request, response) => {
      received += `${request.url} ${JSON.stringify(request.rawHeaders)}`;
      response.end(received);
    });
    using folder = new Folder();
    const access = {
      output: folder.file("access.log"),
      fields: ["header:proxy-authorization", "header:authorization", "uri", "path", "host", "user", "error"],
    };
    let answers = "";
    {
      await using proxy = await ProxyUnderTest.start({ ...forwardConfig({ auth: AUTH }), log: { access } });
      const authority = `127.0.0.1:${origin.port}`;
      for (const head of [
        `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\n`,
        `GET http://${authority}/ HTTP/1.1\r\nHost: ${authority}\r\nConnection: Proxy-Authorization\r\n`,
        `GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\n`,
        "CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: a\r\n",
        `CONNECT ci:${SECRET}@127.0.0.1:9 HTTP/1.1\r\nHost: a\r\n`,
        `GET http://ci:${SECRET}@127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\n`,
        "GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: b.example\r\n",
        "GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        `OPTIONS http://${authority} HTTP/1.1\r\nHost: ${authority}\r\nMax-Forwards: 0\r\n`,
      ]) {
        using client = await RawClient.connect(proxy.port("egress"));
        const { status, body, lines } = await client.send(`${head}${GOOD}\r\n`).answer();
        answers += `${status} ${lines.join()} ${body}`;
      }
      assert.match(answers, /^200/);
      isClean(JSON.stringify(proxy.logged), "the log");
    }
    isClean(received, "what the origin got");
    isClean(answers, "an answer");
    assert.doesNotMatch(received, /proxy-auth/i);
    const logged = readFileSync(access.output, "latin1");
    assert.match(logged, /\[redacted\]/);
    isClean(logged, "the access log");
  });
});
