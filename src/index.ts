/** The public API. */
export type { ConfigProblem } from "./config/problems.ts";
export { type ErrorSide, type ErrorType, ProxyError, type ProxyErrorOptions } from "./core/errors.ts";
export type { FieldBlock } from "./core/fields.ts";
export { BODY_UNTIL_END, type RequestMessage, type ResponseMessage } from "./core/message.ts";
export type { Address, PeerCertificate, TlsInfo } from "./core/ports.ts";
export {
  type AnswerSink,
  type BodyProducer,
  type BodySink,
  type BodySource,
  type BodyTransform,
  PassThrough,
  type ProducedBody,
} from "./pipeline/body.ts";
export type { Answer, ClientConnection, Exchange, Identity } from "./pipeline/exchange.ts";
export type { Fork, ForkHandler, ForkPoint } from "./pipeline/fork.ts";
export type { Feature, PhaseName, Waiting } from "./pipeline/phases.ts";
export type { Handler } from "./pipeline/site.ts";
export type { Upstream } from "./pipeline/upstream.ts";
export { ConfigError } from "./server/config-error.ts";
export { type CreateProxyOptions, createProxy, type EmbeddedProxy } from "./server/create-proxy.ts";
export type { Listening } from "./server/listening-url.ts";
export { defineConfig, type HeadgateConfig, type SingleServerConfig } from "./server/program-config.ts";
export { SetupError, type SetupProblem } from "./server/setup-error.ts";
