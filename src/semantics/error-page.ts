/**
 * What a client reads when an exchange failed: made from the status, and from reasons of a closed set, so that nothing from inside can
 * be in it.
 * Each page is made once and kept.
 */
import { REASON_PHRASES } from "../core/message.ts";
import type { ErrorFormat } from "./accept.ts";

export interface ErrorBody {
  readonly contentType: string;
  readonly body: string;
}

/** One sentence for the person in front of the page; other statuses do with their phrase. */
const SENTENCES: Readonly<Record<number, string>> = {
  400: "The request is not valid, so it was not passed on.",
  403: "This is not allowed here.",
  404: "There is nothing at this address.",
  405: "This method is not allowed here.",
  407: "This proxy asks who you are: it needs a name and a password.",
  408: "The request took too long to arrive.",
  413: "The request is larger than this server accepts.",
  414: "The address is longer than this server accepts.",
  417: "The server cannot do what the request expects.",
  421: "The request was sent to the wrong server.",
  429: "Too many requests came from you. Please wait a moment.",
  431: "The head of the request is larger than this server accepts.",
  500: "Something went wrong on this server.",
  501: "This server cannot do what was asked.",
  502: "The server behind this address gave no valid answer.",
  503: "The server behind this address is not available. Please try again soon.",
  504: "The server behind this address did not answer in time.",
  505: "This version of HTTP is not supported.",
};

/**
 * More than the status says, for who asked for a server of its own choice: a forward proxy keeps nothing of its own from its users
 * by this. By the reason of the error, or else by its type.
 */
const FORWARD_SENTENCES: Readonly<Record<string, string>> = {
  only_if_cached: "The cache does not have it, and the request wants it from nowhere else.",
  rule_denied: "The rules of this proxy do not allow it.",
  nothing_allows: "The rules of this proxy do not allow it.",
  private_destination: "This proxy does not connect to private addresses.",
  asked_as_server: "This is a proxy: name it as http_proxy, or in the settings of your browser.",
  proxy_loop_detected: "The request came back to this proxy, which was asked for itself.",
  password_wrong: "The name or the password is not right.",
  too_many_tunnels: "You have as many connections through this proxy as you may.",
  parent_unreachable: "The next proxy on the way to the server cannot be reached.",
  parent_denied: "The next proxy on the way to the server does not allow it.",
  parent_refused: "The next proxy on the way to the server does not serve this one.",
  ca_may_not_certify: "This proxy would look into the connection, and may not for this server.",
  ca_expired: "This proxy would look into the connection, and cannot at present.",
  certificate_expired: "The certificate of the server has expired.",
  certificate_not_yet_valid: "The certificate of the server is not valid yet.",
  certificate_untrusted: "The certificate of the server was not issued by an authority that this proxy trusts.",
  certificate_of_other_name: "The certificate of the server is for another name.",
  certificate_unusable: "The certificate of the server is not accepted by this proxy.",
  tls_certificate_error: "The certificate of the server is not accepted by this proxy.",
  tls_protocol_error: "No secure connection to the server could be agreed on.",
  tls_alert_received: "The server refused the secure connection.",
  dns_error: "The name of the server is not known.",
  dns_timeout: "The name of the server could not be looked up in time.",
  connection_refused: "The server refused the connection.",
  connection_timeout: "The server could not be reached in time.",
  destination_ip_unroutable: "There is no way to the address of the server.",
};

const made = new Map<string, ErrorBody>();

/**
 * The body for an error status (400 to 599) and its Content-Type. JSON has the members of RFC 9457. `because`: the reason or the
 * type of the error, where the client may know; null: it may not.
 */
export function errorBody(status: number, format: ErrorFormat, because: string | null = null): ErrorBody {
  const sentence = (because === null ? undefined : FORWARD_SENTENCES[because]) ?? SENTENCES[status] ?? null;
  const key = `${status} ${format} ${sentence ?? ""}`;
  let page = made.get(key);
  if (page === undefined) {
    page = makePage(status, format, sentence);
    made.set(key, page);
  }
  return page;
}

function makePage(status: number, format: ErrorFormat, sentence: string | null): ErrorBody {
  const title = REASON_PHRASES[status] ?? (status < 500 ? "Client Error" : "Server Error");
  switch (format) {
    case "html":
      return { contentType: "text/html; charset=utf-8", body: htmlPage(status, title, sentence) };
    case "json": {
      const problem = { type: "about:blank", title, status, ...(sentence === null ? {} : { detail: sentence }) };
      return { contentType: "application/problem+json", body: `${JSON.stringify(problem)}\n` };
    }
    case "text":
      return {
        contentType: "text/plain; charset=utf-8",
        body: sentence === null ? `${status} ${title}\n` : `${status} ${title}\n${sentence}\n`,
      };
  }
}

/** One file, nothing fetched from elsewhere, light or dark as the reader's system is. */
function htmlPage(status: number, title: string, sentence: string | null): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${status} ${title}</title>
<style>
:root { --ground: #fff; --ink: #1c1e21; --quiet: #62676e; --line: #dfe2e6 }
@media (prefers-color-scheme: dark) { :root { --ground: #16181b; --ink: #e7e9ec; --quiet: #9aa0a8; --line: #32363c } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
main { padding: 2rem; max-width: 32rem }
h1 { margin: 0; font-size: 1.5rem; font-weight: 600 }
h1 span { margin-right: .75rem; padding-right: .75rem; border-right: 1px solid var(--line) }
p { margin: .75rem 0 0; color: var(--quiet) }
</style>
</head>
<body>
<main>
<h1><span>${status}</span>${title}</h1>
${sentence === null ? "" : `<p>${sentence}</p>\n`}</main>
</body>
</html>
`;
}
