// Requests and responses in parts: the target as it came and as it was rewritten, the authority, the status.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { viewOf } from "./copy-bytes.ts";
import { acquireStorage, FieldBlock } from "./fields.ts";
import { REASON_PHRASES, RequestMessage, ResponseMessage } from "./message.ts";

/** A request as a driver leaves it: the target stands in the bytes before the fields. */
function requestOf(target: string, host: string | null = "a.example"): RequestMessage {
  const request = new RequestMessage();
  const storage = acquireStorage();
  const line = `GET ${target} HTTP/1.1\r\n`;
  storage.bytes.write(line, "latin1");
  request.fields.adopt(storage, 0, line.length, line.length, 0);
  const query = target.indexOf("?");
  const targetEnd = 4 + target.length;
  request.setTargetRange(4, query < 0 ? targetEnd : 4 + query, targetEnd);
  if (host !== null) request.fields.append("Host", host);
  return request;
}

function encodedTarget(request: RequestMessage): string {
  const bytes = Buffer.alloc(request.targetBytesMax + 2, "~");
  const end = request.encodeTarget(bytes, viewOf(bytes), 1);
  assert.equal(bytes.toString("latin1", end), "~".repeat(bytes.length - end));
  return bytes.toString("latin1", 1, end);
}

describe("the target that logs see", () => {
  it("is the one that came, and without its query when that is hidden", () => {
    const request = requestOf("/callback?code=secret");
    request.setTarget("/elsewhere", "a=b");
    assert.equal(request.receivedTarget, "/callback?code=secret");
    request.hideReceivedQuery();
    assert.equal(request.receivedTarget, "/callback");
    assert.equal(request.target, "/elsewhere?a=b");
    // From a driver without bytes of a request line.
    const given = new RequestMessage();
    given.setTarget("/callback", "code=secret");
    given.hideReceivedQuery();
    assert.deepEqual([given.receivedTarget, given.query], ["/callback", "code=secret"]);
  });
});

describe("the method of a request", () => {
  it("is replaced by another token, and by nothing that could say more than a method", () => {
    const request = requestOf("/");
    assert.equal(request.method, "GET");
    request.method = "M-SEARCH";
    assert.equal(request.method, "M-SEARCH");
    for (const method of ["", "GET /admin", "GET\r\nX: y", "G T", "GET ", "G\u00c9T"]) {
      assert.throws(() => {
        request.method = method;
      }, TypeError);
    }
    assert.equal(request.method, "M-SEARCH");
  });
});

describe("the line of a request", () => {
  it("is kept as it came until the method or the target becomes another one", () => {
    const changes: ((request: RequestMessage) => void)[] = [
      (request) => {
        request.method = "POST";
      },
      (request) => request.setTarget("/b", null),
      (request) => request.setTargetRange(4, 5, 6),
    ];
    for (const change of changes) {
      const request = requestOf("/a");
      assert.equal(request.startLineKept, false);
      request.keepStartLine();
      request.method = "GET";
      assert.equal(request.startLineKept, true);
      change(request);
      assert.equal(request.startLineKept, false);
    }
  });
});

describe("the target of a request", () => {
  it("splits at the first question mark", () => {
    for (const [target, path, query] of [
      ["/", "/", null],
      ["/a/b", "/a/b", null],
      ["/a?", "/a", ""],
      ["/a?x=1&y=/?z", "/a", "x=1&y=/?z"],
      ["/?", "/", ""],
      ["*", "*", null],
    ] as const) {
      const request = requestOf(target);
      assert.deepEqual([request.path, request.query, request.target], [path, query, target]);
      assert.equal(encodedTarget(request), target);
    }
  });

  it("is replaced by setTarget, for readers and for the upstream", () => {
    for (const [path, query, target] of [
      ["/new", null, "/new"],
      ["/new", "", "/new?"],
      ["/new", "a=1?2", "/new?a=1?2"],
      ["*", null, "*"],
    ] as const) {
      const request = requestOf("/old?q=1");
      request.setTarget(path, query);
      assert.deepEqual([request.path, request.query, request.target], [path, query, target]);
      assert.equal(encodedTarget(request), target);
    }
  });

  it("refuses what could not stand in a request line, or would be split elsewhere", () => {
    const request = requestOf("/old?q=1");
    for (const [path, query] of [
      ["", null],
      ["relative", null],
      ["/a b", null],
      ["/a\r\nX: 1", null],
      ["/a#b", null],
      ["/\xe9", null],
      ["/a?b", null],
      ["/a?b", "c"],
      ["*", "q"],
      ["http://a/", null],
      ["/a", "b c"],
      ["/a", "#"],
    ] as const) {
      assert.throws(() => request.setTarget(path, query), TypeError, `${path} ${query}`);
    }
    assert.deepEqual([request.path, request.query, encodedTarget(request)], ["/old", "q=1", "/old?q=1"]);
  });

  it("is that of the bytes again when a driver sets a range", () => {
    const request = requestOf("/one?q");
    request.setTarget("/two", null);
    request.setTargetRange(4, 8, 8);
    assert.deepEqual([request.target, request.path, request.query], ["/one", "/one", null]);
  });

  it("survives changes of the fields that move its bytes", () => {
    const request = requestOf("/kept?q=1");
    request.fields.append("Long", "v".repeat(10_000));
    assert.deepEqual([request.target, encodedTarget(request)], ["/kept?q=1", "/kept?q=1"]);
  });
});

describe("the authority of a request", () => {
  it("is Host in lower case, empty when there is none", () => {
    assert.equal(requestOf("/", "A.Example:8080").authority, "a.example:8080");
    assert.equal(requestOf("/", null).authority, "");
  });

  it("may be set by a driver that knows better, and gives the host without its port", () => {
    const request = requestOf("/", "a.example");
    request.authority = "b.example:81";
    assert.deepEqual([request.authority, request.host], ["b.example:81", "b.example"]);
    for (const [authority, host] of [
      ["a.example", "a.example"],
      ["[::1]:8080", "[::1]"],
      ["[::1]", "[::1]"],
      ["", ""],
    ] as const) {
      request.authority = authority;
      assert.equal(request.host, host);
    }
  });
});

describe("a copy of a request without its body", () => {
  it("asks for the same, keeps the numbers of rows, and is its own whatever becomes of either", () => {
    const request = requestOf("/a/b?c=d");
    for (const [name, value] of [
      ["X-Gone", "1"],
      ["Content-Length", "3"],
      ["Expect", "100-continue"],
      ["X-Stays", "2"],
    ] as const) {
      request.fields.append(name, value);
    }
    request.fields.delete("x-gone");
    request.method = "POST";
    request.bodyBytes = 3;
    request.upgrade = "websocket";
    request.settleAuthority();
    const copy = request.copyWithoutBody();
    request.setTarget("/changed", null);
    request.fields.release();
    assert.deepEqual([copy.method, copy.bodyBytes, copy.upgrade], ["POST", 0, null]);
    assert.deepEqual(
      [copy.target, copy.path, copy.query, copy.receivedTarget],
      ["/a/b?c=d", "/a/b", "c=d", "/a/b?c=d"],
    );
    assert.deepEqual([copy.authority, encodedTarget(copy)], ["a.example", "/a/b?c=d"]);
    assert.deepEqual(
      [...copy.fields.entries()],
      [
        ["Host", "a.example"],
        ["X-Stays", "2"],
      ],
    );
    assert.deepEqual([copy.fields.rowCount, copy.fields.rowOf("x-stays")], [5, 4]);
    copy.fields.release();
  });

  it("has the target that was put in its place, and its start line while nothing changes it", () => {
    const kept = requestOf("/a");
    kept.keepStartLine();
    const line = kept.copyWithoutBody();
    assert.equal(line.startLineKept, true);
    const into = Buffer.alloc(64);
    const end = line.fields.encode(into, viewOf(into), 0, true);
    assert.equal(into.toString("latin1", 0, end), "GET /a HTTP/1.1\r\nHost: a.example\r\n");
    kept.setTarget("/x", "y");
    assert.deepEqual([kept.copyWithoutBody().target, kept.copyWithoutBody().startLineKept], ["/x?y", false]);
  });
});

describe("a response", () => {
  it("takes final statuses only, and keeps the start line only while the status stays", () => {
    const response = new ResponseMessage(404);
    assert.equal(response.status, 404);
    for (const status of [0, 99, 100, 199, 600, 999, 200.5, Number.NaN, -200]) {
      assert.throws(() => (response.status = status), RangeError, `${status}`);
    }
    response.keepStartLine();
    response.status = 404;
    assert.equal(response.startLineKept, true);
    response.status = 200;
    assert.equal(response.startLineKept, false);
    response.status = 404;
    assert.equal(response.startLineKept, false);
  });

  it("has a reason phrase for every status that is registered and in use", () => {
    for (const [status, phrase] of Object.entries(REASON_PHRASES)) {
      assert.match(status, /^[1-5]\d\d$/);
      assert.match(phrase, /^[A-Z][A-Za-z -]+$/);
    }
    for (const status of [100, 101, 103, 200, 204, 206, 304, 400, 404, 408, 413, 431, 499, 500, 502, 503, 504]) {
      // 499 is nginx's and only ever stands in logs.
      assert.equal(status in REASON_PHRASES, status !== 499, `${status}`);
    }
  });

  it("begins with no fields", () => {
    assert.ok(new ResponseMessage().fields instanceof FieldBlock);
    assert.deepEqual([...new ResponseMessage().fields.entries()], []);
  });
});
