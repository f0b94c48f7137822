// Fields, paths and queries that are made to be slow to read: whoever reads them takes longer in proportion to their length, and no
// more. A pattern that looks for spaces at the end of a text, or a list that is compared with a list, made one request of 32 KiB take a
// second.

import assert from "node:assert/strict";
import { test } from "node:test";
import { FieldBlock } from "../../src/core/fields.ts";
import { RequestMessage } from "../../src/core/message.ts";
import { takeCookies } from "../../src/features/oidc/cookies.ts";
import { credentialsOf } from "../../src/identity/authorization.ts";
import { queryHas } from "../../src/pipeline/routing/query.ts";
import { preferredErrorFormat } from "../../src/semantics/accept.ts";
import {
  requestDirectives,
  responseDirectives,
  targetedDirectives,
} from "../../src/semantics/caching/cache-control.ts";
import { parseRange } from "../../src/semantics/caching/ranges.ts";
import { tagsOf } from "../../src/semantics/caching/tags.ts";
import { variantOf, varyOf } from "../../src/semantics/caching/vary.ts";
import { CidrSet } from "../../src/semantics/cidr.ts";
import { asksToAuthenticateConnection, authenticatesConnection } from "../../src/semantics/connection-auth.ts";
import { chooseCoding } from "../../src/semantics/content-coding.ts";
import { cookieValues } from "../../src/semantics/cookies.ts";
import { clientAddress, setForwarded } from "../../src/semantics/forwarded.ts";
import { acceptsTrailers, nominatesFields, removeHopByHop } from "../../src/semantics/hop-by-hop.ts";
import { coverParameters, parametersOf, withoutParameter } from "../../src/semantics/query.ts";
import { normalisePath, parseAuthority, splitAbsoluteForm } from "../../src/semantics/uri.ts";
import { namesEntityTag, weakened } from "../../src/semantics/validators.ts";
import { isLoop } from "../../src/semantics/via.ts";

const FEW_BYTES = 1_024;
const MANY_BYTES = 32 * FEW_BYTES;
/** In proportion it is 32; what grows with the square is 1,024. */
const TIMES_MAX = 200;
/** Below it what is measured may be the machine. What grew with the square took hundreds. */
const NOTICED_MS = 5;
/** On a crowded machine most of them may be interrupted. */
const TRIES = 20;

/** What a value is made of, again and again, with a letter on both sides. */
const SHAPES: readonly string[] = [
  ...[" ", "\t ", ",", ", ", ";", "; ", "=", '"', '\\"', "(", "a (b),", "a=b; ", "a=b;q=1,", "a,b,c,d,"],
  ...["bearer ", "ntlm ", "n ", "for=", 'for="a",', "10.0.0.1,", "bytes=", "0-1,", "q =1;", "a/b;q=0.1,", "+json"],
  ...["%41&", "%2e/", "a=%41&", "/../", "//", "/.;", "a.", "1.", ":", "[::", "timeout ", 'no-cache="a",', "x-gzip "],
];

type Read = (value: string) => unknown;

const TRUSTED = CidrSet.parse(["10.0.0.0/8"]);

function reading(name: string, read: (fields: FieldBlock) => unknown): Read {
  return (value) => {
    const fields = FieldBlock.from([[name, value]]);
    try {
      return read(fields);
    } finally {
      fields.release();
    }
  };
}

const READERS: Readonly<Record<string, Read>> = {
  "a cookie by its name": reading("Cookie", (fields) => cookieValues(fields, "b")),
  "cookies of a login": reading("Cookie", (fields) => takeCookies(fields, "a", "__Host-a")),
  "a variant by text": reading("X-Text", (fields) => variantOf(fields, ["x-text"])),
  "a variant by a list": reading("Via", (fields) => variantOf(fields, ["via"])),
  "a variant by media types": reading("Accept", (fields) => variantOf(fields, ["accept"])),
  "a variant by codings": reading("Accept-Encoding", (fields) => variantOf(fields, ["accept-encoding"])),
  "names that vary": reading("Vary", varyOf),
  "tags of an answer": reading("Surrogate-Key", (fields) => tagsOf(fields, "http://a", ["surrogate-key"])),
  "directives of a request": reading("Cache-Control", requestDirectives),
  "directives of an answer": reading("Cache-Control", responseDirectives),
  "directives for us": reading("CDN-Cache-Control", (fields) => targetedDirectives(fields, ["cdn-cache-control"])),
  "what Connection names": reading("Connection", (fields) => removeHopByHop(fields)),
  "whether Connection names anything": reading("Connection", nominatesFields),
  trailers: reading("TE", acceptsTrailers),
  "the client's address": reading("X-Forwarded-For", (fields) => clientAddress(fields, "10.0.0.1", TRUSTED)),
  "the client's address, as RFC 7239 has it": reading("Forwarded", (fields) =>
    clientAddress(fields, "10.0.0.1", TRUSTED),
  ),
  "what is said of the client": reading("Forwarded", (fields) => {
    const request = new RequestMessage(fields);
    setForwarded(request, { remoteAddress: "10.0.0.1", trusted: true, scheme: "http", authority: "a" });
  }),
  "a loop": reading("Via", (fields) => isLoop(fields, "headgate")),
  credentials: reading("Authorization", (fields) => credentialsOf(fields, "basic")),
  "credentials for a connection": reading("Authorization", authenticatesConnection),
  "a question for them": reading("WWW-Authenticate", (fields) => asksToAuthenticateConnection(401, fields)),
  "the form of an error": preferredErrorFormat,
  "a coding": (value) => chooseCoding(value, ["zstd", "br", "gzip"]),
  ranges: parseRange,
  "a list of entity tags": (value) => namesEntityTag(value, '"a"'),
  "an entity tag": weakened,
  "a path": (value) => normalisePath(`/${value}`),
  "an absolute target": (value) => splitAbsoluteForm(`http://${value}`),
  "an authority": parseAuthority,
  "a parameter that a route asks for": (value) => queryHas(value, "b", ["c"]),
  "values of a parameter": (value) => parametersOf(value, "b"),
  "a query without a parameter": (value) => withoutParameter(value, "b"),
  "a query with a covered parameter": (value) => coverParameters(`/?${value}`, new Set(["b"]), "***"),
};

function repeated(shape: string, bytes: number): string {
  return `x${shape.repeat(Math.ceil(bytes / shape.length))}x=x`;
}

/** The shortest of some tries; one that took less than `enoughMs` is the last. */
function msOf(read: Read, value: string, enoughMs = 0): number {
  let least = Number.POSITIVE_INFINITY;
  for (let index = 0; index < TRIES && least >= enoughMs; index++) {
    const startedMs = performance.now();
    read(value);
    least = Math.min(least, performance.now() - startedMs);
  }
  return least;
}

for (const [name, read] of Object.entries(READERS)) {
  test(`${name} takes no longer than the length of what is read`, () => {
    for (const shape of SHAPES) {
      const many = msOf(read, repeated(shape, MANY_BYTES), NOTICED_MS);
      if (many < NOTICED_MS) continue;
      const few = msOf(read, repeated(shape, FEW_BYTES));
      assert.ok(many < TIMES_MAX * few, `${JSON.stringify(shape)}: ${few} ms for 1 KiB, ${many} ms for 32 KiB`);
    }
  });
}

/** It was 36. */
const FIELDS_TIMES_MAX = 3;

test("how long Connection takes to be read does not depend on how many other fields there are", () => {
  const msAmong = (others: number): number => {
    const lines = Array.from({ length: others }, () => ["z", "1"] as const);
    const read: Read = (value) => {
      const fields = FieldBlock.from([...lines, ["Connection", value]]);
      removeHopByHop(fields);
      fields.release();
    };
    return msOf(read, "a,".repeat(MANY_BYTES / 2));
  };
  const [few, many] = [msAmong(1), msAmong(127)];
  assert.ok(many < NOTICED_MS || many < FIELDS_TIMES_MAX * few, `${few} ms beside one other, ${many} ms beside 127`);
});
