/** The names of all hooks of features and plugins, in the order of an exchange's life. What each is asked for is said in pipeline/phases.ts. */
export const HOOK_NAMES = [
  "request",
  "requestBody",
  "selectUpstream",
  "upstreamConnected",
  "upstreamRequest",
  "upstreamInformational",
  "upstreamResponse",
  "upstreamResponseBody",
  "response",
  "responseBody",
  "trailers",
  "upgrade",
  "connectError",
  "proxyError",
  "log",
] as const;
