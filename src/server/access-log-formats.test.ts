// What a line of the access log says, format by format, and what never gets into one.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { seed } from "../../test/support/seed.ts";
import {
  type Line,
  StandInExchange,
  type StandInRequest,
  standInResponse,
} from "../../test/support/stand-in-exchange.ts";
import {
  ACCESS_FIELDS,
  ACCESS_FIELDS_DEFAULT,
  parseAccessField,
  parseAccessTemplate,
} from "../config/access-fields.ts";
import type { AccessFormat } from "../config/config.ts";
import { ProxyError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import { Forwarding } from "../pipeline/forwarding.ts";
import type { Upstream } from "../pipeline/upstream.ts";
import { compileLineFormat, type LineFormat } from "./access-line.ts";
import { jsonText, lineText, templateText, VALUE_CHARACTERS_MAX } from "./access-text.ts";

const REDACTED_BY_DEFAULT = ["authorization", "cookie", "set-cookie", "proxy-authorization"];
/** When the exchange ends. */
const END_MS = Date.UTC(2026, 10, 21, 5, 36, 12, 345);

const clock: Clock = {
  now: () => 0,
  wallMs: () => END_MS,
  after: () => ({ cancel() {} }),
};

function compile(
  format: AccessFormat,
  redact: readonly string[] = REDACTED_BY_DEFAULT,
  redactQuery: readonly string[] = [],
): LineFormat {
  return compileLineFormat({ format, redact, redactQuery }, { clock, serverName: "web" });
}

function json(...fields: readonly string[]): AccessFormat {
  return { kind: "json", fields: fields.map((field) => parseAccessField(field)!) };
}

function template(text: string): AccessFormat {
  const parsed = parseAccessTemplate(text);
  assert.ok(parsed.ok);
  return { kind: "template", parts: parsed.parts };
}

/** An exchange of 12.3456 ms that has been answered. */
function ended(given: StandInRequest = {}, answer: readonly Line[] = [], status = 200): StandInExchange {
  const exchange = new StandInExchange({ target: "/path?q=1", ...given });
  exchange.response = standInResponse(status, 5, answer);
  exchange.startedMs = 1000;
  exchange.endedMs = 1012.3456;
  exchange.responseBodyBytes = 5;
  return exchange;
}

describe("a line of json", () => {
  test("has the default fields under their names, in their order", () => {
    const exchange = ended({ method: "POST", fields: [["Content-Length", "3"]] });
    exchange.requestBodyBytes = 3;
    exchange.upstream = { name: "app" } as Upstream;
    exchange.upstreamAddress = "127.0.0.1:3000";
    exchange.attempts = 1;
    exchange.cache = { outcome: "pass", reason: "method" };
    exchange.upstreamSentMs = 1001;
    exchange.upstreamFirstByteMs = 1002.5;
    assert.equal(
      compile(json(...ACCESS_FIELDS_DEFAULT))(exchange),
      '{"time":"2026-11-21T05:36:12.332Z","client":"192.0.2.1","method":"POST","scheme":"http","host":"example.org",' +
        '"path":"/path","protocol":"HTTP/1.1","status":200,"requestBytes":3,"responseBytes":5,"durationMs":12.346,' +
        '"server":"web","upstream":"app","upstreamAddress":"127.0.0.1:3000","upstreamMs":1.5,"attempts":1,' +
        '"cache":"pass","cacheReason":"method"}\n',
    );
  });

  test("has every field that there is, and leaves out what does not apply", () => {
    const exchange = ended();
    exchange.error = new ProxyError("dns_error", "no such name");
    const names = Object.keys(ACCESS_FIELDS);
    const line = JSON.parse(compile(json(...names))(exchange)) as Record<string, unknown>;
    const absent = names.filter((name) => !Object.hasOwn(line, name));
    assert.deepEqual(absent, [
      "route",
      "user",
      "destination",
      "rule",
      "serverName",
      "via",
      "upstream",
      "upstreamAddress",
      "upstreamMs",
      "attempts",
      "cache",
      "cacheReason",
      "ended",
      "tls",
    ]);
    assert.equal(line.peer, "192.0.2.1:50000");
    assert.equal(line.uri, "/path?q=1");
    assert.equal(line.query, "q=1");
  });

  test("tells an error with its type, side and chain", () => {
    const root = Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:3000"), { code: "ECONNREFUSED" });
    const middle = new ProxyError("connection_refused", "cannot connect to 127.0.0.1:3000", { cause: root });
    const exchange = ended({}, [], 502);
    exchange.error = new ProxyError("connection_refused", "app: no server can be reached", { cause: middle });
    const chain = {
      type: "connection_refused",
      side: "upstream",
      message: "app: no server can be reached",
      causes: ["cannot connect to 127.0.0.1:3000", "connect ECONNREFUSED 127.0.0.1:3000"],
    };
    assert.deepEqual(JSON.parse(compile(json("error"))(exchange)), { error: chain });
    assert.equal(
      compile(template("{status} {error}"))(exchange),
      "502 connection_refused (upstream): app: no server can be reached: cannot connect to 127.0.0.1:3000: connect ECONNREFUSED 127.0.0.1:3000\n",
    );
  });

  test("ends a chain of causes that goes round in circles", () => {
    const cause = new Error("round");
    cause.cause = new TypeError("and round", { cause });
    const exchange = ended();
    exchange.error = new ProxyError("proxy_internal_error", "begin", { cause });
    const { error } = JSON.parse(compile(json("error"))(exchange)) as { error: { causes: readonly string[] } };
    assert.deepEqual(error.causes, ["round", "TypeError: and round"]);
  });

  test("tells a cause only where it adds something, and not its line break", () => {
    const root = new Error("connect ECONNREFUSED 127.0.0.1:1");
    const told = "cannot connect to 127.0.0.1:1: connection refused, nothing accepts connections there (ECONNREFUSED)";
    const middle = new ProxyError("connection_refused", told, { cause: root });
    const exchange = ended({}, [], 502);
    exchange.error = new ProxyError("connection_refused", told, { cause: new AggregateError([middle], told) });
    assert.equal(compile(template("{error}"))(exchange), `connection_refused (upstream): ${told}\n`);
    exchange.error = new ProxyError("connection_refused", told, { cause: middle });
    assert.equal(compile(template("{error}"))(exchange), `connection_refused (upstream): ${told}\n`);
    const cause = new Error("error:0A000410:SSL routines::handshake failure\n");
    exchange.error = new ProxyError("tls_protocol_error", "no TLS\n", { cause });
    const text = "tls_protocol_error (upstream): no TLS: error:0A000410:SSL routines::handshake failure\n";
    assert.equal(compile(template("{error}"))(exchange), text);
  });

  test("says what the client sent, whatever features have made of it", () => {
    const exchange = ended({ target: "/app/x?token=1" });
    exchange.request.setTarget("/x", null);
    assert.equal(compile(json("path", "query"))(exchange), '{"path":"/app/x","query":"token=1"}\n');
  });

  test("has status 499 for a client that left before there was an answer", () => {
    const exchange = ended();
    exchange.response = null;
    assert.equal(compile(json("status"))(exchange), '{"status":499}\n');
  });
});

describe("a line of combined", () => {
  test("is as Apache and nginx write it", () => {
    const exchange = ended({
      fields: [
        ["Referer", "https://a.example/"],
        ["User-Agent", 'curl/8 "quoted"'],
      ],
    });
    assert.equal(
      compile({ kind: "combined" })(exchange),
      '192.0.2.1 - - [21/Nov/2026:05:36:12 +0000] "GET /path?q=1 HTTP/1.1" 200 5 "https://a.example/" "curl/8 \\"quoted\\""\n',
    );
  });

  test("names who asks, in one word whatever the name", () => {
    const exchange = ended();
    exchange.identity = { subject: 'CN=Ann "A" Lee\n', by: "clientCertificate" };
    const line = compile({ kind: "combined" })(exchange);
    assert.match(line, /^192\.0\.2\.1 - CN=Ann\\x20\\"A\\"\\x20Lee\\\S+ \[21\/Nov/);
  });

  test("names who uses a forward proxy", () => {
    const exchange = ended();
    const destination = { kind: "tunnel", host: "a.example", isAddress: false, port: 443, address: null } as const;
    exchange.forward = new Forwarding(destination, { subject: "ci", by: "forward" });
    assert.match(compile({ kind: "combined" })(exchange), /^192\.0\.2\.1 - ci \[/);
  });

  test("has a hyphen for what is not there", () => {
    const exchange = ended();
    exchange.responseBodyBytes = 0;
    const line = compile({ kind: "combined" })(exchange);
    assert.equal(line, '192.0.2.1 - - [21/Nov/2026:05:36:12 +0000] "GET /path?q=1 HTTP/1.1" 200 - "-" "-"\n');
  });
});

describe("a line of a template", () => {
  test("has the operator's text around the fields", () => {
    const format = template("{{{client}}} {method} {uri} -> {status} {route} [{header:x-id}] {responseHeader:etag}");
    const exchange = ended({ fields: [["X-Id", "7"]] }, [["ETag", '"abc"']]);
    assert.equal(compile(format)(exchange), '{192.0.2.1} GET /path?q=1 -> 200 - [7] \\"abc\\"\n');
  });
});

describe("redaction", () => {
  const secrets: readonly Line[] = [
    ["Authorization", "Bearer secret"],
    ["Cookie", "sid=secret"],
    ["Proxy-Authorization", "Basic secret"],
    ["X-Token", "secret"],
    ["Referer", "https://a.example/?secret"],
  ];
  const exchange = () => ended({ fields: secrets }, [["Set-Cookie", "sid=secret"]]);

  test("hides the values of the fields that carry secrets, and shows that they were there", () => {
    const format = json(
      "header:authorization",
      "header:cookie",
      "header:proxy-authorization",
      "responseHeader:set-cookie",
    );
    assert.deepEqual(JSON.parse(compile(format)(exchange())), {
      "header:authorization": "[redacted]",
      "header:cookie": "[redacted]",
      "header:proxy-authorization": "[redacted]",
      "responseHeader:set-cookie": "[redacted]",
    });
    assert.equal(compile(format)(ended()), "{}\n");
  });

  test("hides what the configuration names besides, in every format", () => {
    const redact = [...REDACTED_BY_DEFAULT, "x-token", "referer"];
    const formats = [json("header:x-token", "header:referer"), template("{header:x-token} {header:authorization}")];
    for (const format of [...formats, { kind: "combined" } as const]) {
      const line = compile(format, redact)(exchange());
      assert.doesNotMatch(line, /secret/);
      assert.match(line, /\[redacted\]/);
    }
  });
});

describe("redaction of parameters", () => {
  const exchange = () =>
    ended(
      {
        target: "/path?a=%41&api%5Fkey=hgk_secret&b",
        fields: [["Referer", "https://a.example/page?api_key=hgk_secret&x=1#top"]],
      },
      [["Location", "/login?next=1&api_key=hgk_secret"]],
    );

  test("hides their values wherever a URL is written, and nothing else", () => {
    const format = json("path", "query", "uri", "header:referer", "responseHeader:location");
    assert.deepEqual(JSON.parse(compile(format, [], ["api_key"])(exchange())), {
      path: "/path",
      query: "a=%41&api%5Fkey=[redacted]&b",
      uri: "/path?a=%41&api%5Fkey=[redacted]&b",
      "header:referer": "https://a.example/page?api_key=[redacted]&x=1#top",
      "responseHeader:location": "/login?next=1&api_key=[redacted]",
    });
    for (const other of [template("{uri} {query} {header:referer}"), { kind: "combined" } as const]) {
      const line = compile(other, [], ["api_key"])(exchange());
      assert.doesNotMatch(line, /secret/);
      assert.match(line, /a=%41&api%5Fkey=\[redacted\]&b/);
    }
  });

  test("leaves the rest alone", () => {
    assert.match(compile(template("{uri}"), [], [])(exchange()), /hgk_secret/);
    const plain = ended({ target: "/path" });
    assert.deepEqual(JSON.parse(compile(json("uri", "query"), [], ["api_key"])(plain)), { uri: "/path" });
  });
});

describe("no client can forge a line", () => {
  /** What a field value may hold (obs-text included), and more: error texts come from anywhere. */
  const anything = fc.string({
    unit: fc.constantFrom(
      "a",
      '"',
      "\\",
      "\n",
      "\r",
      "\t",
      "\0",
      "\x1b",
      "\x7f",
      "\x85",
      "\xe9",
      "\u2028",
      "\ud800",
      " ",
    ),
  });

  test("values are one JSON string, without anything that a reader or a terminal might act on", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const text = jsonText(value);
        assert.match(text, /^[\x20-\x7e\xa0-\u2027\u202a-\uffff]*$/);
        assert.equal(JSON.parse(text), value);
      }),
      { seed },
    );
  });

  test("a template of JSON is JSON", () => {
    fc.assert(
      fc.property(anything, (value) => {
        assert.match(templateText(value), /^[\x20-\x7e]*$/);
        assert.equal(JSON.parse(`"${templateText(value)}"`), value);
      }),
      { seed },
    );
    const format = template('{{"target":"{uri}","agent":"{header:user-agent}","user":"{user}","status":{status}}}');
    const line = compile(format)(ended({ fields: [["User-Agent", 'caf\xe9 "1\\2"']] }));
    const expected = { target: "/path?q=1", agent: 'caf\xe9 "1\\2"', user: "-", status: 200 };
    assert.deepEqual(JSON.parse(line), expected);
  });

  test("values of the other formats hold visible ASCII only, and no quote of their own", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const text = lineText(value);
        assert.match(text, /^[\x20-\x7e]*$/);
        assert.doesNotMatch(text.replace(/\\["\\]/g, ""), /"/);
      }),
      { seed },
    );
  });

  test("one exchange is one line, whatever its fields and its error say", () => {
    const nasty = 'x\\" 200 5 "-" "-"\x85\x1b[31m\tend';
    const exchange = ended({
      fields: [
        ["User-Agent", nasty.replace("\x1b", "\xff")],
        ["X-A", "\xe9\x85"],
      ],
    });
    exchange.error = new ProxyError("http_request_error", 'refused\r\n{"forged":"line"}', { cause: new Error("a\nb") });
    for (const format of [
      json("header:user-agent", "header:x-a", "error"),
      { kind: "combined" } as const,
      template("{header:user-agent} {header:x-a} {error}"),
    ]) {
      const line = compile(format)(exchange);
      assert.equal(line.split(/[\n\r\x85\u2028\u2029]/).length, 2);
      assert.ok(line.endsWith("\n"));
    }
    const { error } = JSON.parse(compile(json("error"))(exchange)) as { error: { message: string } };
    assert.equal(error.message, 'refused\r\n{"forged":"line"}');
  });

  test("a value is cut when it is too long", () => {
    const long = "x".repeat(VALUE_CHARACTERS_MAX + 1);
    const exchange = ended({ fields: [["X-Long", long]] });
    const line = JSON.parse(compile(json("header:x-long"))(exchange)) as Record<string, string>;
    assert.equal(line["header:x-long"], `${"x".repeat(VALUE_CHARACTERS_MAX)}...`);
    assert.equal(lineText(long).length, VALUE_CHARACTERS_MAX + 3);
    assert.equal(jsonText("x".repeat(VALUE_CHARACTERS_MAX)).length, VALUE_CHARACTERS_MAX + 2);
  });
});
