import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ERROR_TYPES, type ErrorType, ProxyError } from "../core/errors.ts";
import { errorBody } from "./error-page.ts";
import { proxyStatus } from "./proxy-status.ts";

describe("the body of an error", () => {
  it("is a page without anything from elsewhere", () => {
    const { contentType, body } = errorBody(502, "html");
    assert.equal(contentType, "text/html; charset=utf-8");
    assert.match(body, /^<!doctype html>\n<html lang="en">/);
    assert.match(body, /<title>502 Bad Gateway<\/title>/);
    assert.match(body, /prefers-color-scheme: dark/);
    assert.doesNotMatch(body, /https?:|\/\/|src=|href=|<script|@import|url\(/);
  });

  it("is JSON with the members of RFC 9457", () => {
    const { contentType, body } = errorBody(504, "json");
    assert.equal(contentType, "application/problem+json");
    const detail = "The server behind this address did not answer in time.";
    assert.deepEqual(JSON.parse(body), { type: "about:blank", title: "Gateway Timeout", status: 504, detail });
  });

  it("is text", () => {
    assert.deepEqual(errorBody(404, "text"), {
      contentType: "text/plain; charset=utf-8",
      body: "404 Not Found\nThere is nothing at this address.\n",
    });
  });

  it("exists for a status that nobody registered", () => {
    assert.equal(errorBody(499, "text").body, "499 Client Error\n");
    assert.equal(errorBody(599, "text").body, "599 Server Error\n");
    assert.match(errorBody(599, "html").body, /<h1><span>599<\/span>Server Error<\/h1>\n<\/main>/);
  });

  it("tells whoever asked for a server that its certificate is the trouble, whatever is wrong with it", () => {
    assert.match(errorBody(502, "text", "certificate_unusable").body, /The certificate of the server is not accepted/);
  });

  it("has a sentence for every status that an error of the proxy leads to", () => {
    for (const { status } of Object.values(ERROR_TYPES)) {
      assert.equal(errorBody(status, "text").body.split("\n").length, 3, String(status));
    }
  });
});

describe("Proxy-Status", () => {
  it("is an item of structured fields that names the error and nothing else", () => {
    for (const type of Object.keys(ERROR_TYPES) as ErrorType[]) {
      const error = new ProxyError(type, "connect to 10.1.2.3:8080 failed with password hunter2");
      assert.equal(proxyStatus(error), `headgate; error=${type}`);
      assert.match(proxyStatus(error), /^[A-Za-z*][\w:/!#$%&'*+.^`|~-]*; error=[a-z_]+$/);
    }
  });
});
