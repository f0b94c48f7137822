// The client's side of SOCKS5: what it sends, in which order, and what it makes of every answer. Every dialogue runs
// whole, then byte by byte.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bytesOf, runSocksClient } from "../../../test/support/socks-reader.ts";
import { encodeSocksCredentials, SocksClient } from "./client.ts";

const hexOf = (text: string) => Buffer.from(text).toString("hex");

const REPLY_IPV4 = "05000001c00002070102";
const REQUEST = `sent 0501000309${hexOf("a.example")}01bb`;

function run(answers: string, credentials: Buffer | null = null, host = "a.example") {
  const bytes = Buffer.from(answers, "hex");
  const whole = runSocksClient(SocksClient.to(host, 443, credentials)!, [bytes]);
  const pieces = runSocksClient(SocksClient.to(host, 443, credentials)!, bytesOf(bytes));
  assert.deepEqual(pieces, whole, "byte by byte");
  return whole;
}

describe("a SOCKS5 client", () => {
  const ann = encodeSocksCredentials("ann", "secret");

  it("connects without a password", () => {
    assert.deepEqual(run(`0500${REPLY_IPV4}${hexOf("tunnel")}`), {
      events: ["sent 050100", REQUEST, "connected"],
      rest: "tunnel",
    });
  });

  it("connects with a password when it is asked for one", () => {
    assert.deepEqual(run(`05020100${REPLY_IPV4}`, ann).events, [
      ...["sent 05020002", `sent 0103${hexOf("ann")}06${hexOf("secret")}`],
      ...[REQUEST, "connected"],
    ]);
  });

  it("keeps its password to itself when it is not asked for it", () => {
    assert.deepEqual(run(`0500${REPLY_IPV4}`, ann).events, ["sent 05020002", REQUEST, "connected"]);
  });

  it("names addresses as such", () => {
    const request = (host: string) => run(`0500${REPLY_IPV4}`, null, host).events[1];
    assert.equal(request("192.0.2.1"), "sent 05010001c000020101bb");
    assert.equal(request("2001:db8::1"), "sent 0501000420010db800000000000000000000000101bb");
    assert.equal(request("a"), "sent 05010003016101bb");
    // No address in the one form that all readers share, so it is a name.
    assert.equal(request("127.1"), `sent 0501000305${hexOf("127.1")}01bb`);
  });

  it("reads a bound address of every type", () => {
    for (const bound of [
      "01c00002070102",
      "0420010db80000000000000000000000070102",
      `0309${hexOf("b.example")}0102`,
      "03000000",
      `03ff${"61".repeat(255)}0102`,
    ]) {
      const { events, rest } = run(`0500050000${bound}${hexOf("tu")}`);
      assert.deepEqual([events.at(-1), rest], ["connected", "tu"], bound);
    }
  });

  it("waits for what has not come", () => {
    const whole = `05020100${REPLY_IPV4}`;
    for (let length = 0; length < whole.length; length += 2) {
      const { events } = run(whole.slice(0, length), ann);
      const state = length < 4 ? "method" : length < 8 ? "verdict" : "reply";
      assert.equal(events.at(-1), `incomplete ${state}`);
    }
  });

  const failures: [answers: string, error: string, type: string][] = [
    ["04", "ERR_SERVER_VERSION", "http_protocol_error"],
    ["48545450", "ERR_SERVER_VERSION", "http_protocol_error"],
    ["05ff", "ERR_SERVER_NO_METHOD", "proxy_configuration_error"],
    ["0501", "ERR_SERVER_METHOD", "http_protocol_error"],
    ["05020000", "ERR_SERVER_REPLY", "http_protocol_error"],
    ["05020500", "ERR_SERVER_REPLY", "http_protocol_error"],
    ["05020101", "ERR_SERVER_CREDENTIALS", "proxy_configuration_error"],
    ["050201ff", "ERR_SERVER_CREDENTIALS", "proxy_configuration_error"],
    ["050004", "ERR_SERVER_REPLY", "http_protocol_error"],
    ["050005000101", "ERR_SERVER_REPLY", "http_protocol_error"],
    ["050005000000", "ERR_SERVER_REPLY", "http_protocol_error"],
    ["050005000002", "ERR_SERVER_REPLY", "http_protocol_error"],
    ["05000501", "ERR_SERVER_REFUSED", "destination_unavailable"],
    ["05000502000100000000", "ERR_SERVER_REFUSED", "http_request_denied"],
    ["05000504", "ERR_SERVER_REFUSED", "dns_error"],
    ["05000505", "ERR_SERVER_REFUSED", "connection_refused"],
  ];
  for (const [answers, name, type] of failures) {
    it(`fails after ${answers}: ${name}`, () => {
      assert.equal(run(answers, ann).events.at(-2), `failed ${name}`);
      const client = SocksClient.to("a", 1, ann)!;
      const bytes = Buffer.from(answers, "hex");
      let code = 1;
      for (let at = 0; code > 0; at += code) code = client.receive(bytes, at, bytes.length);
      const error = client.failure(code);
      assert.deepEqual([error.type, error.side], [type, "upstream"]);
      assert.ok(error.status === 502 || error.status === 503 || type === "http_request_denied");
    });
  }

  it("does not take a method that it did not offer", () => {
    assert.equal(run("0502").events.at(-2), "failed ERR_SERVER_METHOD");
  });

  it("is not made for a host that SOCKS5 cannot name", () => {
    for (const host of ["", "a b", "a:80", "[::1]", "a\0", "é", "a".repeat(255), "a".repeat(100_000)]) {
      assert.equal(SocksClient.to(host, 443, null), null, host.slice(0, 10));
    }
  });
});

describe("the credentials of a SOCKS5 client", () => {
  it("are refused when SOCKS5 cannot carry them, without being told", () => {
    for (const [user, password] of [
      ["", "hunter2"],
      ["ann", ""],
      ["ann", "hunter2".repeat(40)],
      ["é".repeat(128), "hunter2"],
    ] as const) {
      assert.throws(
        () => encodeSocksCredentials(user, password),
        (error) => error instanceof RangeError && !/hunter2|ann|é/.test(error.message),
      );
    }
    assert.equal(encodeSocksCredentials("a".repeat(255), "b".repeat(255)).length, 513);
  });

  it("are told by no failure", () => {
    const credentials = encodeSocksCredentials("ann", "hunter2");
    for (const answers of ["05020101", "050201", "05ff"]) {
      assert.doesNotMatch(
        runSocksClient(SocksClient.to("a", 1, credentials)!, [Buffer.from(answers, "hex")]).events.at(-1)!,
        /hunter2|ann/,
      );
    }
  });
});

it("tells a name that is not known from an address that cannot be reached", () => {
  const errorFor = (host: string) => {
    const client = SocksClient.to(host, 443, null)!;
    client.receive(Buffer.from([5, 0]), 0, 2);
    return client.failure(client.receive(Buffer.from([5, 4]), 0, 2));
  };
  assert.deepEqual([errorFor("a.example").type, errorFor("a.example").status], ["dns_error", 502]);
  assert.equal(errorFor("192.0.2.1").type, "destination_unavailable");
});
