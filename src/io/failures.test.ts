// What failures are called, in words of ours: of what OpenSSL and Node say only what tells something.

import assert from "node:assert/strict";
import { test } from "node:test";
import { BACKLOG_FULL, OWN_CERTIFICATE_REFUSED } from "../core/errors.ts";
import { failureOf, systemErrorOf } from "./failures.ts";

const OPENSSL_LINE = "C0E6:error:0A000418:SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca:rec_layer_s3.c:918:\n";

function alertOf(name: string) {
  const reason = name.toLowerCase().replaceAll("_", " ");
  return Object.assign(new Error(OPENSSL_LINE), { code: `ERR_SSL_${name}`, reason });
}

test("an alert is told in one line, without what OpenSSL says of itself", () => {
  const error = failureOf(alertOf("TLSV1_ALERT_UNKNOWN_CA"), "TLS handshake", "client");
  assert.equal(error.type, "tls_alert_received");
  assert.equal(error.cause, undefined);
  assert.equal(
    error.message,
    "TLS handshake: the peer refused the TLS handshake: tlsv1 alert unknown ca (ERR_SSL_TLSV1_ALERT_UNKNOWN_CA)",
  );
});

test("a client that takes no certificate of ours has a reason; who objects to something else, and an upstream, has none", () => {
  const names = ["TLSV1_ALERT_UNKNOWN_CA", "SSLV3_ALERT_BAD_CERTIFICATE", "SSL/TLS_ALERT_CERTIFICATE_UNKNOWN"];
  for (const name of names) {
    assert.equal(failureOf(alertOf(name), "x", "client").reason, OWN_CERTIFICATE_REFUSED, name);
    assert.equal(failureOf(alertOf(name), "x", "upstream").reason, null, name);
  }
  assert.equal(failureOf(alertOf("TLSV1_ALERT_PROTOCOL_VERSION"), "x", "client").reason, null);
});

test("a certificate that OpenSSL refuses with a code that Node has no name for is a refused certificate", () => {
  const verdict = Object.assign(new Error("EE certificate key too weak"), { code: "UNSPECIFIED" });
  const { type, reason, message } = failureOf(verdict, "TLS handshake", "upstream");
  assert.equal(type, "tls_certificate_error");
  assert.equal(reason, "certificate_unusable");
  assert.equal(message, "TLS handshake: the certificate was refused: EE certificate key too weak (UNSPECIFIED)");
});

test("an authority that is not trusted: where to name it, once, and not what Node advises", () => {
  const said = "unable to verify the first certificate";
  const advice = "; if the root CA is installed locally, try running Node.js with --use-system-ca";
  const verdict = Object.assign(new Error(said + advice), { code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
  const error = failureOf(verdict, "TLS handshake", "upstream");
  assert.equal(
    error.message,
    `TLS handshake: the certificate was refused: ${said}; its authority is not one of those that are trusted ` +
      "(see `tls.ca`) (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
  );
  assert.equal(error.cause, undefined);
});

test("what this machine has none left of is the proxy's own limit: 503, and no fault of the program or of the upstream", () => {
  const words = {
    EMFILE: "the process has reached its limit of open files (ulimit -n)",
    ENFILE: "the system has reached its limit of open files",
    EADDRNOTAVAIL: "no local address or port is left for a connection",
  };
  for (const [code, why] of Object.entries(words)) {
    const { type, side, status, retryable, message } = failureOf(
      systemErrorOf(code),
      "cannot connect to db:80",
      "upstream",
    );
    assert.deepEqual([type, side, status, retryable], ["connection_limit_reached", "proxy", 503, false], code);
    assert.equal(message, `cannot connect to db:80: ${why} (${code})`);
  }
});

test("a unix socket whose backlog is full is a server that has no room at the moment: 503, and worth another attempt", () => {
  const error = failureOf(systemErrorOf("EAGAIN"), "cannot connect to unix:/run/app.sock", "upstream");
  const { type, side, status, retryable, reason } = error;
  assert.deepEqual(
    [type, side, status, retryable, reason],
    ["destination_unavailable", "upstream", 503, true, BACKLOG_FULL],
  );
});
