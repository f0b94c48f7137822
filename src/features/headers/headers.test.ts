import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { z } from "zod";
import {
  type Line,
  StandInExchange,
  type StandInRequest,
  standInResponse,
} from "../../../test/support/stand-in-exchange.ts";
import { parseWithFiles } from "../../core/option-files.ts";
import { createHeadersFeature } from "./index.ts";
import { type HeaderChanges, headersOptions } from "./options.ts";

type HeadersInput = z.input<typeof headersOptions>;

const NONE: HeaderChanges = { set: {}, add: {}, remove: [] };

function changed(changes: Partial<HeaderChanges>, lines: readonly Line[]): Line[] {
  const feature = createHeadersFeature({ ...headersOptions.parse({}), request: { ...NONE, ...changes } });
  const exchange = new StandInExchange({ fields: lines });
  feature.request?.(exchange);
  return exchange.requestLines;
}

describe("headers", () => {
  it("sets a field to exactly one value, whatever was there", () => {
    const set = { "x-a": "new" };
    assert.deepEqual(
      changed({ set }, [
        ["X-A", "1"],
        ["B", "2"],
        ["x-a", "3"],
      ]),
      [
        ["B", "2"],
        ["x-a", "new"],
      ],
    );
    assert.deepEqual(changed({ set }, []), [["x-a", "new"]]);
  });

  it("adds lines beside those that are there", () => {
    const add = { "x-a": ["2", "3"] };
    assert.deepEqual(changed({ add }, [["X-A", "1"]]), [
      ["X-A", "1"],
      ["x-a", "2"],
      ["x-a", "3"],
    ]);
  });

  it("removes by name, on every line and in any case", () => {
    assert.deepEqual(
      changed({ remove: ["x-a", "cookie"] }, [
        ["X-A", "1"],
        ["X-AB", "2"],
        ["x-a", "3"],
        ["Cookie", "c"],
      ]),
      [["X-AB", "2"]],
    );
  });

  it("leaves no other spelling of what it sets or removes of a request", () => {
    const lines: Line[] = [
      ["X_User", "spoofed"],
      ["x.user", "spoofed"],
      ["X-User", "spoofed"],
      ["X_Users", "kept"],
      ["X_Debug_Id", "1"],
    ];
    const set = { "x-user": "alice" };
    assert.deepEqual(changed({ set, remove: ["x-debug-*"] }, lines), [
      ["X_Users", "kept"],
      ["x-user", "alice"],
    ]);
    assert.deepEqual(changed({ remove: ["x-user", "x-debug-id"] }, lines), [["X_Users", "kept"]]);
    // Who names the other spelling means it.
    assert.deepEqual(changed({ remove: ["x_user", "x.user", "x_debug_*"] }, lines), [
      ["X-User", "spoofed"],
      ["X_Users", "kept"],
    ]);
    // Whatever is set, an upstream shall find that and nothing else.
    assert.deepEqual(changed({ set: { x_user: "alice" } }, lines), [
      ["X_Users", "kept"],
      ["X_Debug_Id", "1"],
      ["x_user", "alice"],
    ]);
    const framed: Line[] = [["Content-Length", "1"]];
    assert.deepEqual(changed({ set: { content_length: "2" } }, framed), [...framed, ["content_length", "2"]]);
  });

  it("removes by the beginning of a name", () => {
    const lines: Line[] = [
      ["X-Amz-Date", "1"],
      ["x-amz-", "2"],
      ["X-Am", "3"],
      ["AX-Amz-B", "4"],
    ];
    assert.deepEqual(changed({ remove: ["x-amz-*"] }, lines), [
      ["X-Am", "3"],
      ["AX-Amz-B", "4"],
    ]);
  });

  it("removes first, then sets, then adds", () => {
    const changes = { remove: ["a", "b*"], set: { a: "set", bc: "set" }, add: { a: ["added"] } };
    assert.deepEqual(
      changed(changes, [
        ["A", "1"],
        ["Bc", "2"],
      ]),
      [
        ["a", "set"],
        ["bc", "set"],
        ["a", "added"],
      ],
    );
  });

  it("leaves framing, connection and Host alone, even when all names are removed", () => {
    const lines: Line[] = [
      ["Host", "h"],
      ["Content-Length", "1"],
      ["Connection", "close"],
      ["Upgrade", "x"],
      ["Via", "v"],
    ];
    assert.deepEqual(changed({ remove: ["*"] }, lines), lines.slice(0, 4));
    for (const name of ["host", "Content-Length", "transfer-encoding", "connection", "te"]) {
      const refused = new TypeError(`${name} is set by the proxy itself`);
      for (const changes of [{ set: { [name]: "1" } }, { add: { [name]: ["1"] } }, { remove: [name] }]) {
        assert.throws(() => changed(changes, []), refused);
      }
    }
  });

  it("refuses what could not stand in a head, when it is made", () => {
    assert.throws(() => changed({ set: { "a b": "1" } }, []), TypeError);
    assert.throws(() => changed({ set: { a: "1\r\nb: 2" } }, []), TypeError);
    assert.throws(() => changed({ add: { a: ["1", "\0"] } }, []), TypeError);
  });

  it("changes answers too, and each direction on its own", () => {
    const options = headersOptions.parse({ response: { set: { "X-Frame-Options": "DENY" }, remove: ["Server"] } });
    const feature = createHeadersFeature(options);
    assert.equal(feature.request, undefined);
    const response = standInResponse(200, 0, [
      ["Server", "x"],
      ["Via", "1.1 a"],
    ]);
    feature.response?.(new StandInExchange(), response);
    assert.deepEqual(
      [...response.fields.entries()],
      [
        ["Via", "1.1 a"],
        ["x-frame-options", "DENY"],
      ],
    );
  });

  it("leaves of an answer's trailers what it neither sets nor removes", () => {
    const response = { set: { "X-User": "a" }, add: { "x-sum": "1" }, remove: ["server-timing", "x-internal-*"] };
    const feature = createHeadersFeature(headersOptions.parse({ response }));
    const trailers = standInResponse(200, 0, [
      ["Server-Timing", "db;dur=53"],
      ["X-Internal-Host", "db7"],
      ["x-user", "b"],
      ["X-Sum", "2"],
      ["grpc-status", "0"],
    ]).fields;
    feature.trailers?.(new StandInExchange({}), trailers);
    assert.deepEqual(
      [...trailers.entries()],
      [
        ["X-Sum", "2"],
        ["grpc-status", "0"],
      ],
    );
    assert.equal(createHeadersFeature(headersOptions.parse({ response: { add: { a: "1" } } })).trailers, undefined);
  });

  describe("with parts of the request", () => {
    const made = (request: HeadersInput["request"], given: StandInRequest) => {
      const exchange = new StandInExchange(given);
      createHeadersFeature(headersOptions.parse({ request })).request?.(exchange);
      return exchange;
    };
    const linesOf = (value: string, given: StandInRequest) => made({ set: { "X-A": value } }, given).requestLines;

    for (const [value, expected] of [
      ["{client}", "192.0.2.1"],
      ["{host}", "a.example"],
      ["{scheme}://{host}{uri}", "https://a.example/b%20c?d={e}"],
      ["path {path}, query {query}", "path /b%20c, query d={e}"],
      ["{{client}} {client}", "{client} 192.0.2.1"],
      ["{{{uri}}}", "{{uri}}"],
      ['{"a":{"b":"{host}"}}', '{"a":{"b":"a.example"}}'],
      ['{"a":{"b":1}}', '{"a":{"b":1}}'],
      ["{Client} {client }{}{remote_addr}", "{Client} {client }{}{remote_addr}"],
    ] as const) {
      it(value, () => {
        const given = { target: "/b%20c?d={e}", authority: "a.example:8443", scheme: "https" } as const;
        assert.deepEqual(linesOf(value, given), [["x-a", expected]]);
      });
    }

    it("keeps the order of lines", () => {
      const { requestLines } = made(
        { set: { a: "{host}", b: "1" }, add: { a: ["2", "{path}", "3"], c: "4" } },
        { fields: [["A", "0"]], target: "/p" },
      );
      const expected = ["a: example.org", "b: 1", "a: 2", "a: /p", "a: 3", "c: 4"];
      assert.deepEqual(
        requestLines.map((line) => line.join(": ")),
        expected,
      );
    });

    it("leaves out what comes to nothing, and a space at an end", () => {
      assert.deepEqual(linesOf("{query}", {}), []);
      assert.deepEqual(linesOf("q {query}", {}), [["x-a", "q"]]);
      // A client of a unix socket has no address, whatever its path is.
      for (const clientAddress of ["", "/run/a.sock"]) assert.deepEqual(linesOf("{client}", { clientAddress }), []);
    });

    it("tells the client's address in place of all that the client says there", () => {
      const fields: Line[] = [
        ["X-Client-IP", "1"],
        ["x_client_ip", "2"],
        ["X.Client.IP", "3"],
        ["X-Client-IPs", "4"],
      ];
      const exchange = made({ set: { "x-client-ip": "{client}" } }, { fields, clientAddress: "2001:db8::1" });
      assert.deepEqual(exchange.requestLines, [
        ["X-Client-IPs", "4"],
        ["x-client-ip", "2001:db8::1"],
      ]);
    });

    it("leaves no trailers of a request of which it sets or removes fields", () => {
      const passes = (changes: Parameters<typeof made>[0]) => made(changes, {}).passesTrailers;
      assert.equal(passes({ set: { "x-user": "alice" } }), false);
      assert.equal(passes({ remove: ["x-user"] }), false);
      assert.equal(passes({ remove: ["x-internal-*"] }), false);
      assert.equal(passes({ add: { a: "{host}" } }), true);
    });

    it("takes what stands in a file, and what an answer gets, as it is", () => {
      const files = {
        resolvePath: (path: string) => path,
        readSecret: () => "{client}",
        readSecretBytes: () => Buffer.alloc(0),
      };
      const parsed = parseWithFiles(files, () =>
        headersOptions.parse({ request: { set: { a: { file: "f" } } }, response: { set: { b: "{client}" } } }),
      );
      assert.equal(parsed.request.set.a, "{client}");
      assert.equal(parsed.response.set.b, "{client}");
    });

    it("is refused when a name could not stand in a head", () => {
      assert.throws(() => changed({ set: { "a b": [{ part: "client" }] } }, []), TypeError);
    });
  });
});
