// What clients of SOCKS5, SOCKS4 and 4a say, and what they are answered. Every dialogue runs whole, then byte by byte.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bytesOf, serveSocks } from "../../../test/support/socks-reader.ts";
import { ProxyError } from "../../core/errors.ts";
import { NAME_BYTES_MAX } from "./destination.ts";
import { type SocksAuthentication, SocksServer, USER_ID_BYTES_MAX } from "./server.ts";

/** Text and bytes one after the other. */
const wire = (...parts: readonly (string | number | readonly number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from([part].flat()))));

function serve(bytes: Buffer, authentication: SocksAuthentication = "none") {
  const whole = serveSocks([bytes], authentication);
  assert.deepEqual(serveSocks(bytesOf(bytes), authentication), whole, "byte by byte");
  return whole;
}

const GREETING = [5, 1, 0];
const BOTH_METHODS = [5, 3, 0, 1, 2];
const PORT = [0x01, 0xbb];
const BOUND_UNTOLD = "00000000";
const named = (name: string) => wire([5, 1, 0, 3, name.length], name, PORT);
const credentials = (user: string, password: string) =>
  wire([1, Buffer.byteLength(user)], user, Buffer.byteLength(password), password);

describe("a SOCKS5 client without a password", () => {
  const destinations: [request: Buffer, destination: string][] = [
    [wire([5, 1, 0, 1, 192, 0, 2, 1], PORT), "192.0.2.1:443"],
    [wire([5, 1, 0, 1, 0, 0, 0, 0], PORT), "0.0.0.0:443"],
    [wire([5, 1, 0, 4, 0x20, 1, 0xd, 0xb8], new Array(11).fill(0), 1, PORT), "[2001:db8::1]:443"],
    [wire([5, 1, 0, 4], new Array(10).fill(0), [0xff, 0xff, 127, 0, 0, 1], PORT), "127.0.0.1:443"],
    [named("a.example"), "a.example:443"],
    [named("A_b.Example."), "A_b.Example.:443"],
    [named("127.0.0.1"), "127.0.0.1:443"],
    [wire([5, 1, 0, 3, 1], "a", [0xff, 0xff]), "a:65535"],
  ];
  for (const [request, destination] of destinations) {
    it(`connects to ${destination}`, () => {
      assert.deepEqual(serve(wire(GREETING, [...request], "tunnel")), {
        events: ["sent 0500", `connect ${destination}`, `sent 05000001${BOUND_UNTOLD}0000`],
        rest: "tunnel",
      });
    });
  }

  it("is let in when it could send a password too, and none is asked for", () => {
    assert.equal(serve(wire(BOTH_METHODS, [...named("a")])).events[0], "sent 0500");
    assert.deepEqual(serve(wire([5, 1, 2])).events, ["refused ERR_NO_METHOD", "sent 05ff"]);
  });

  it("is refused when a password is asked for", () => {
    assert.deepEqual(serve(wire(GREETING), "required").events, ["refused ERR_NO_METHOD", "sent 05ff"]);
  });

  it("is refused when it offers nothing, or what nobody here speaks", () => {
    for (const greeting of [
      [5, 0],
      [5, 1, 1],
      [5, 2, 1, 0xff],
      [5, 255, ...new Array(255).fill(3)],
    ]) {
      assert.deepEqual(serve(wire(greeting)).events, ["refused ERR_NO_METHOD", "sent 05ff"]);
    }
  });

  it("does not offer what stands behind its greeting", () => {
    assert.deepEqual(serve(wire([5, 1, 1], [0, 2, 0])).events, ["refused ERR_NO_METHOD", "sent 05ff"]);
  });

  it("that has not said all is waited for", () => {
    assert.deepEqual(serve(wire([])), { events: ["incomplete greeting"], rest: "" });
    assert.deepEqual(serve(wire([5])), { events: ["incomplete greeting"], rest: "\x05" });
    const request = named("a.example");
    for (let length = 0; length < request.length; length++) {
      const { events } = serve(wire(GREETING, [...request.subarray(0, length)]));
      assert.deepEqual(events, ["sent 0500", "incomplete request"]);
    }
  });
});

describe("a SOCKS5 client with a password", () => {
  const asked = (user: string, password: string, authentication: SocksAuthentication = "required") =>
    serve(wire(BOTH_METHODS, [...credentials(user, password)], [...named("a")]), authentication);

  it("is let in when it is right", () => {
    for (const authentication of ["required", "optional"] as const) {
      assert.deepEqual(asked("ann", "secret", authentication).events, [
        ...["sent 0502", "user ann:secret", "sent 0100", "connect a:443"],
        `sent 05000001${BOUND_UNTOLD}0000`,
      ]);
    }
  });

  it("is told that it is wrong", () => {
    const { events, rest } = serveSocks([wire([5, 1, 2], [...credentials("ann", "wrong")])], "required");
    assert.deepEqual([events, rest], [["sent 0502", "user ann:wrong", "sent 0101", "incomplete verdict"], ""]);
  });

  it("is not heard before the verdict", () => {
    const server = new SocksServer("required");
    const bytes = wire([5, 1, 2], [...credentials("ann", "secret")], [...named("a")]);
    const greeted = server.receive(bytes, 0, bytes.length);
    const said = greeted + server.receive(bytes, greeted, bytes.length);
    assert.equal(server.receive(bytes, said, bytes.length), 0);
    assert.deepEqual([server.state, server.user, `${server.password}`], ["verdict", "ann", "secret"]);
    server.verdict(true);
    assert.equal(server.password, null, "a password is not kept");
    assert.equal(server.receive(bytes, said, bytes.length), bytes.length - said);
    assert.throws(() => server.verdict(true), /no verdict/);
  });

  it("may have any text of up to 255 bytes, and an empty password, which is a wrong one", () => {
    assert.equal(asked("é".repeat(127), "secret").events[1], `user ${"é".repeat(127)}:secret`);
    assert.equal(asked("a".repeat(255), "b".repeat(255)).events[1], `user ${"a".repeat(255)}:${"b".repeat(255)}`);
    assert.deepEqual(asked("ann", "").events.slice(1, 3), ["user ann:", "sent 0101"]);
  });

  const malformed: [message: readonly number[], why: string][] = [
    [[5, 1, 97, 1, 98], "another version"],
    [[1, 0, 1, 98], "no user"],
    [[1, 1, 0xff, 1, 98], "a user that is no UTF-8"],
    [[1, 1, 97, 1, 0xff], "a password that is no UTF-8"],
    [[1, 1, 0, 1, 98], "NUL"],
    [[1, 1, 97, 1, 10], "a line break"],
    [[1, 1, 0x7f, 1, 98], "DEL"],
  ];
  for (const [message, why] of malformed) {
    it(`is refused with ${why}`, () => {
      const { events } = serve(wire(BOTH_METHODS, message), "required");
      assert.deepEqual(events, ["sent 0502", "refused ERR_CREDENTIALS", "sent 0101"]);
    });
  }

  it("need not have one where that is optional", () => {
    const { events } = serve(wire(GREETING, [...named("a")]), "optional");
    assert.deepEqual(events.slice(0, 2), ["sent 0500", "connect a:443"]);
  });
});

describe("a SOCKS5 request", () => {
  const refused: [request: Buffer, error: string, code: string][] = [
    [wire([4, 1, 0, 1, 1, 1, 1, 1], PORT), "ERR_REQUEST_VERSION", "01"],
    [wire([5, 0, 0, 1, 1, 1, 1, 1], PORT), "ERR_COMMAND", "07"],
    [wire([5, 2, 0, 1, 1, 1, 1, 1], PORT), "ERR_COMMAND", "07"],
    [wire([5, 3, 0, 1, 1, 1, 1, 1], PORT), "ERR_COMMAND", "07"],
    [wire([5, 0xf0, 0, 3, 1], "a", PORT), "ERR_COMMAND", "07"],
    [wire([5, 1, 1, 1, 1, 1, 1, 1], PORT), "ERR_RESERVED", "01"],
    [wire([5, 1, 0, 0, 1, 1, 1, 1], PORT), "ERR_ADDRESS_TYPE", "08"],
    [wire([5, 1, 0, 2, 1, 1, 1, 1], PORT), "ERR_ADDRESS_TYPE", "08"],
    [wire([5, 1, 0, 5, 1, 1, 1, 1], PORT), "ERR_ADDRESS_TYPE", "08"],
    [wire([5, 1, 0, 1, 1, 1, 1, 1, 0, 0]), "ERR_DESTINATION_PORT", "01"],
    [wire([5, 1, 0, 3, 1], "a", [0, 0]), "ERR_DESTINATION_PORT", "01"],
  ];
  for (const [request, error, code] of refused) {
    it(`is refused: ${request.toString("hex")} (${error})`, () => {
      const { events } = serve(wire(GREETING, [...request]));
      assert.deepEqual(events, ["sent 0500", `refused ${error}`, `sent 05${code}0001${BOUND_UNTOLD}0000`]);
    });
  }

  const names = [
    "",
    ".",
    "a..b",
    ".a",
    "a\0",
    "a\0.example",
    "a b",
    " a",
    "a:80",
    "[::1]",
    "::1",
    "a/b",
    "a@b",
    "é",
    "a,b",
  ];
  for (const name of [...names, "a\r\nHost: b", "%61", "*", "a".repeat(NAME_BYTES_MAX + 1)]) {
    it(`is refused with the name ${JSON.stringify(name.slice(0, 20))}`, () => {
      const request = wire([5, 1, 0, 3, Buffer.byteLength(name)], name, PORT);
      assert.equal(serve(wire(GREETING, [...request])).events[1], "refused ERR_DESTINATION_NAME");
    });
  }

  it("may have a name of the longest length", () => {
    const name = `${"a".repeat(NAME_BYTES_MAX - 1)}.`;
    assert.equal(serve(wire(GREETING, [...named(name)])).events[1], `connect ${name}:443`);
  });
});

describe("a SOCKS4 client", () => {
  const GRANTED = "sent 005a000000000000";
  const FAILED = "sent 005b000000000000";

  it("connects to an address, whoever it says that it is", () => {
    for (const userId of ["", "ann", "a".repeat(USER_ID_BYTES_MAX), "\xff:\r\n"]) {
      assert.deepEqual(serve(wire([4, 1], PORT, [192, 0, 2, 1], userId, 0, "tunnel")), {
        events: ["connect 192.0.2.1:443", GRANTED],
        rest: "tunnel",
      });
    }
  });

  it("connects to a name with 4a", () => {
    for (const last of [1, 255]) {
      assert.deepEqual(serve(wire([4, 1], PORT, [0, 0, 0, last], "ann", 0, "a.example", 0, "tunnel")), {
        events: ["connect a.example:443", GRANTED],
        rest: "tunnel",
      });
    }
  });

  it("means an address by 0.0.0.0 and by 0.0.1.0", () => {
    assert.equal(serve(wire([4, 1], PORT, [0, 0, 0, 0, 0])).events[0], "connect 0.0.0.0:443");
    assert.equal(serve(wire([4, 1], PORT, [0, 0, 1, 0, 0])).events[0], "connect 0.0.1.0:443");
  });

  it("is refused where a password is required, and let in where it is optional", () => {
    const bytes = wire([4, 1], PORT, [192, 0, 2, 1, 0]);
    assert.deepEqual(serve(bytes, "required").events, ["refused ERR_SOCKS4_PASSWORD", FAILED]);
    assert.equal(serve(bytes, "optional").events[0], "connect 192.0.2.1:443");
  });

  const refused: [request: Buffer, error: string][] = [
    [wire([4, 2], PORT, [1, 1, 1, 1, 0]), "ERR_COMMAND"],
    [wire([4, 0], PORT, [1, 1, 1, 1, 0]), "ERR_COMMAND"],
    [wire([4, 1, 0, 0, 1, 1, 1, 1, 0]), "ERR_DESTINATION_PORT"],
    [wire([4, 1], PORT, [1, 1, 1, 1], "a".repeat(USER_ID_BYTES_MAX + 1), 0), "ERR_USER_ID_TOO_LONG"],
    [wire([4, 1], PORT, [1, 1, 1, 1], "a".repeat(USER_ID_BYTES_MAX + 1)), "ERR_USER_ID_TOO_LONG"],
    [wire([4, 1], PORT, [0, 0, 0, 1, 0], 0), "ERR_DESTINATION_NAME"],
    [wire([4, 1], PORT, [0, 0, 0, 1, 0], "a b", 0), "ERR_DESTINATION_NAME"],
    [wire([4, 1], PORT, [0, 0, 0, 1, 0], "[::1]", 0), "ERR_DESTINATION_NAME"],
    [wire([4, 1], PORT, [0, 0, 0, 1, 0], "a".repeat(NAME_BYTES_MAX + 1)), "ERR_DESTINATION_NAME"],
  ];
  for (const [request, error] of refused) {
    it(`is refused: ${request.toString("hex").slice(0, 40)} (${error})`, () => {
      assert.deepEqual(serve(request).events, [`refused ${error}`, FAILED]);
    });
  }

  it("that has not said all is waited for", () => {
    const bytes = wire([4, 1], PORT, [0, 0, 0, 1], "ann", 0, "a.example", 0);
    for (let length = 0; length < bytes.length; length++) {
      assert.deepEqual(serve(bytes.subarray(0, length)).events, ["incomplete greeting"]);
    }
  });
});

describe("what is no SOCKS", () => {
  for (const [bytes, what] of [
    [Buffer.from("CONNECT a:443 HTTP/1.1\r\n\r\n"), "HTTP"],
    [Buffer.of(0x16, 3, 1), "TLS"],
    [Buffer.of(0), "NUL"],
    [Buffer.of(6), "a later version"],
  ] as const) {
    it(`is refused without an answer: ${what}`, () => {
      assert.deepEqual(serve(bytes).events, ["refused ERR_VERSION", "sent null"]);
    });
  }
});

describe("the answer to a request", () => {
  const served = (bytes: Buffer) => {
    const server = new SocksServer("none");
    for (let at = 0; server.state !== "answer"; ) at += server.receive(bytes, at, bytes.length);
    return server;
  };
  const five = served(wire(GREETING, [...named("a")]));
  const four = served(wire([4, 1], PORT, [1, 1, 1, 1, 0]));

  it("tells our end of the connection when it is given", () => {
    const ipv4 = { family: 4, address: "192.0.2.7", port: 258 } as const;
    const ipv6 = { family: 6, address: "2001:db8::7", port: 258 } as const;
    assert.equal(five.granted(ipv4).toString("hex"), "05000001c00002070102");
    assert.equal(five.granted(ipv6).toString("hex"), "0500000420010db80000000000000000000000070102");
    assert.equal(four.granted(ipv4).toString("hex"), "005a0102c0000207");
    assert.equal(four.granted(ipv6).toString("hex"), "005a000000000000");
    for (const untold of [null, { family: 0, address: "/run/a.sock", port: 0 } as const]) {
      assert.equal(five.granted(untold).toString("hex"), "05000001000000000000");
      assert.equal(four.granted(untold).toString("hex"), "005a000000000000");
    }
  });

  it("says why there is no connection, as far as the version can", () => {
    const error = new ProxyError("connection_refused", "no");
    assert.equal(five.failed(error).toString("hex"), "05050001000000000000");
    assert.equal(four.failed(error).toString("hex"), "005b000000000000");
    assert.equal(five.failedWith(2).toString("hex"), "05020001000000000000");
    assert.equal(four.failedWith(2).toString("hex"), "005b000000000000");
  });
});
