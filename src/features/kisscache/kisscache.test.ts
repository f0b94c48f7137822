// What becomes of requests to kisscache's interface on their way to the origin, and of answers on their way back.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Line, StandInExchange, standInResponse } from "../../../test/support/stand-in-exchange.ts";
import { OUTCOMES } from "../../caching/counts.ts";
import { ProxyError } from "../../core/errors.ts";
import { sendElsewhere } from "../../pipeline/forward-admission.ts";
import { VirtualClock } from "../../testing/index.ts";
import { contentDisposition } from "./fields.ts";
import { createKisscache } from "./index.ts";
import { kisscacheBlock } from "./options.ts";
import type { StoreFacts } from "./status.ts";

const totals = Object.fromEntries(
  OUTCOMES.map((outcome, index) => [outcome, { requests: index + 1, bytes: 10 * (index + 1) }]),
) as StoreFacts["totals"];
const FACTS: StoreFacts = { entries: 3, bytes: 500, bytesMax: 1000, fetching: 2, totals };

function kisscache(block: object = {}, facts: StoreFacts | null = FACTS) {
  const ports = { clock: new VirtualClock(), facts: () => facts, sendElsewhere };
  return createKisscache(kisscacheBlock.parse(block), ports);
}

/** The exchange as it leaves the entrance. */
function entered(target: string, fields: readonly Line[] = [], block: object = {}, method = "GET") {
  const { entrance } = kisscache(block);
  const exchange = new StandInExchange({ target, fields: [["Host", "example.org"], ...fields], method });
  entrance.request!(exchange);
  return { exchange, entrance };
}

const FETCH = "/api/v1/fetch?url=https%3A%2F%2Forigin.example%3A8443%2Fa%2Fb.img%3Fc";

describe("a download", () => {
  it("becomes a request for the origin, which learns nothing of the client", () => {
    const { exchange } = entered(FETCH, [
      ["Cookie", "a=b"],
      ["Accept-Language", "de"],
      ["User-Agent", "wget"],
      ["X-Forwarded-For", "192.0.2.1"],
      ["Cache-Control", "no-cache"],
      ["Range", "bytes=0-1"],
      ["Headgate-Passed", "made up"],
    ]);
    const { request, forward } = exchange;
    assert.deepEqual(
      [request.scheme, request.authority, request.target],
      ["https", "origin.example:8443", "/a/b.img?c"],
    );
    assert.deepEqual(
      [forward?.destination.kind, forward?.destination.host, forward?.destination.port],
      ["https", "origin.example", 8443],
    );
    assert.deepEqual(exchange.requestLines, [
      ["Range", "bytes=0-1"],
      ["Host", "origin.example:8443"],
      ["Cache-Control", "max-age=864000"],
      ["User-Agent", "headgate"],
      ["Accept-Encoding", "identity"],
    ]);
    assert.equal(exchange.passesTrailers, false);
  });

  it("says how old it may be", () => {
    assert.equal(entered(`${FETCH}&ttl=2h`).exchange.request.fields.get("cache-control"), "max-age=7200");
    const { exchange } = entered(FETCH, [], { ttl: "1m" });
    assert.equal(exchange.request.fields.get("cache-control"), "max-age=60");
  });

  it("passes credentials, and tells apart what was downloaded with which", () => {
    const passed = (target: string, fields: readonly Line[], block = {}) => {
      const { request } = entered(target, fields, block).exchange;
      return [request.fields.get("authorization"), request.fields.get("x-a"), request.fields.get("headgate-passed")];
    };
    const one: Line = ["Authorization", "Bearer one"];
    const [authorization, other, digest] = passed(FETCH, [one, ["X-A", "1"]]);
    assert.deepEqual([authorization, other], ["Bearer one", null]);
    assert.match(digest!, /^[\w-]{43}$/);
    assert.deepEqual(passed(FETCH, [one]), ["Bearer one", null, digest]);
    assert.notEqual(passed(FETCH, [["Authorization", "Bearer two"]])[2], digest);
    assert.deepEqual(passed(`${FETCH}&passheaders=`, [one]), [null, null, null]);
    assert.deepEqual(passed(FETCH, [one], { passHeaders: [] }), [null, null, null]);
    const named = passed(`${FETCH}&passheaders=X-A`, [one, ["X-A", "1"], ["x-a", "2"]]);
    assert.deepEqual(named.slice(0, 2), [null, "1, 2"]);
    assert.notEqual(named[2], passed(`${FETCH}&passheaders=X-A`, [["X-A", "1, 2"]])[2]);
  });

  it("passes nothing that is ours or the connection's, whatever it asks for", () => {
    const fields: readonly Line[] = [
      ["Connection", "close"],
      ["Content-Length", "0"],
      ["X-Forwarded-Host", "evil"],
      ["Headgate-Passed", "x"],
      ["Cache-Control", "max-stale"],
    ];
    const names = "host,connection,content-length,x-forwarded-host,headgate-passed,cache-control,a b,";
    const { exchange } = entered(`${FETCH}&passheaders=${encodeURIComponent(names)}`, fields);
    assert.deepEqual(
      exchange.requestLines.map(([name]) => name),
      ["Host", "Cache-Control", "User-Agent", "Accept-Encoding"],
    );
  });

  it("is that of a user of the forward proxy, when the route has proved one", () => {
    const exchange = new StandInExchange({ target: FETCH });
    exchange.identity = { subject: "alice", by: "basicAuth" };
    kisscache().entrance.request!(exchange);
    assert.deepEqual(exchange.forward?.user, { subject: "alice", by: "basicAuth" });
    assert.equal(exchange.identity, null);
  });

  it("is refused with a host that is none, a body, and other methods", () => {
    const { exchange: ambiguous } = entered("/api/v1/fetch?url=http%3A%2F%2Fa_b..c%2F");
    assert.equal(ambiguous.errors[0]?.status ?? ambiguous.answers[0]?.status, 400);
    const posted = entered(FETCH, [], {}, "POST").exchange;
    assert.deepEqual([posted.answers[0]?.status, posted.forward], [405, null]);
    const { entrance } = kisscache();
    const withBody = new StandInExchange({ target: FETCH });
    withBody.request.bodyBytes = 5;
    entrance.request!(withBody);
    assert.deepEqual([withBody.answers[0]?.status, withBody.forward], [400, null]);
  });

  it("reaches the origin without what was meant for the cache", () => {
    const { exchange } = entered(FETCH, [["Authorization", "Bearer one"]]);
    const { exit } = kisscache();
    exit.request!(exchange);
    assert.deepEqual(
      exchange.requestLines.map(([name]) => name),
      ["Authorization", "Host", "User-Agent", "Accept-Encoding"],
    );
    const response = standInResponse(200, 3, [
      ["Age", "100000"],
      ["Date", "Thu, 01 Jan 1970 00:00:00 GMT"],
      ["ETag", '"a"'],
    ]);
    exit.upstreamResponse!(exchange, response);
    assert.deepEqual([...response.fields.entries()], [["ETag", '"a"']]);
  });
});

describe("its answer", () => {
  const answered = (status: number, fields: readonly Line[], target = FETCH, block: object = {}) => {
    const { exchange, entrance } = entered(target, [], block);
    const response = standInResponse(status, 3, fields);
    entrance.response!(exchange, response);
    return { status: response.status, fields: Object.fromEntries(response.fields.entries()) };
  };

  it("is what was downloaded, under its name, and nothing that the origin says as an origin", () => {
    const { fields } = answered(200, [
      ["Content-Type", "text/html"],
      ["Set-Cookie", "a=b"],
      ["Strict-Transport-Security", "max-age=1"],
      ["Clear-Site-Data", "*"],
      ["ETag", '"a"'],
      ["Age", "3"],
    ]);
    assert.deepEqual(fields, {
      "Content-Type": "text/html",
      ETag: '"a"',
      Age: "3",
      "X-Content-Type-Options": "nosniff",
      "Content-Disposition": "attachment; filename=b.img",
    });
  });

  it("leads back here when it leads on", () => {
    assert.equal(answered(302, [["Location", "/c"]]).fields.Location, "?url=https%3A%2F%2Forigin.example%3A8443%2Fc");
    assert.deepEqual(answered(302, [["Location", "ftp://a/"]]).fields, { "X-Content-Type-Options": "nosniff" });
  });

  it("says that there is no room only when the cache was asked for no more than it has", () => {
    const answersTo = (block: object, status: number) => {
      const { exchange, entrance } = entered(FETCH, [], block);
      entrance.proxyError!(exchange, new ProxyError("http_request_error", "nothing is there", { status }));
      return exchange.answers.map((answer) => answer.status);
    };
    assert.deepEqual(answersTo({ quota: 500 }, 504), [507]);
    assert.deepEqual(answersTo({ quota: 500 }, 403), []);
    assert.deepEqual(answersTo({ quota: 501 }, 504), []);
    assert.deepEqual(answersTo({}, 504), []);
    const { exchange } = entered(FETCH, [], { quota: 500 });
    assert.equal(exchange.request.fields.get("cache-control"), "max-age=864000, only-if-cached");
  });

  it("is left alone when it is ours", () => {
    const { exchange, entrance } = entered(FETCH);
    exchange.error = new ProxyError("dns_error", "no such host");
    const response = standInResponse(502, 3, [["Cache-Control", "no-store"]]);
    entrance.response!(exchange, response);
    assert.deepEqual([...response.fields.entries()], [["Cache-Control", "no-store"]]);
  });
});

describe("what is asked of kisscache itself", () => {
  const answerTo = (target: string, block: object = {}, facts: StoreFacts | null = FACTS) => {
    const exchange = new StandInExchange({ target });
    kisscache(block, facts).entrance.request!(exchange);
    return exchange.answers[0]!;
  };

  it("has kisscache's answers", () => {
    assert.equal(answerTo("/api/v1/health/").body, "ok");
    assert.deepEqual(
      [answerTo("/api/v1/fetch").status, answerTo("/api/v1/fetch").body],
      [400, "'url' should be specified"],
    );
    assert.equal(answerTo("/else").status, 404);
    assert.match(String(answerTo("/").body), /\/api\/v1\/fetch\?url=/);
  });

  it("tells of the cache in kisscache's words", () => {
    const status = JSON.parse(String(answerTo("/api/v1/status/").body));
    assert.deepEqual(status, {
      timestamp: new Date(new VirtualClock().wallMs()).toISOString(),
      disk_usage: 500,
      disk_usage_percent: 50,
      disk_quota: 1000,
      instance: "http://example.org/",
      resources_scheduled: 0,
      resources_downloading: 2,
      resources_successes: 3,
      resources_failures: 0,
      resources_usage: 21,
      statistics_successes: 5,
      statistics_failures: 0,
      statistics_download: 110,
      statistics_upload: 210,
      statistics_requests: 21,
      version: "headgate",
    });
    assert.equal(JSON.parse(String(answerTo("/api/v1/status/", { quota: 2000 }).body)).disk_usage_percent, 25);
    assert.equal(JSON.parse(String(answerTo("/api/v1/status/", {}, null).body)).disk_usage, 0);
  });
});

describe("the name of a download", () => {
  const table: readonly (readonly [name: string, value: string])[] = [
    ["", "attachment"],
    ["a.tar.gz", "attachment; filename=a.tar.gz"],
    ["a b", `attachment; filename="a b"; filename*=UTF-8''a%20b`],
    ['a";\r\nb', `attachment; filename="a_;__b"; filename*=UTF-8''a%22%3B%0D%0Ab`],
    ["../ä'", `attachment; filename="..__'"; filename*=UTF-8''..%2F%C3%A4%27`],
  ];
  for (const [name, value] of table) it(JSON.stringify(name), () => assert.equal(contentDisposition(name), value));
});
