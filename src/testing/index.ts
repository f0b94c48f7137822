/**
 * `headgate/testing`: the pipeline run without a network. For tests of plugins, and for our own.
 */
export { type CacheFolderOptions, type CacheOperation, diskError, MemoryCacheFolder } from "./cache-folder.ts";
export type { SimulatedConnection } from "./connection.ts";
export { Peer, type ReceivedHead, ScriptedOrigin } from "./dialogue.ts";
export { DialogueError } from "./difference.ts";
export { type AcceptHandler, type ConnectOptions, type NetworkOptions, SimulatedNetwork } from "./network.ts";
export { SeededRandom } from "./seeded-random.ts";
export { MemorySessionStore } from "./session-store.ts";
export { createTestProxy, TestProxy, type TestProxyOptions } from "./test-proxy.ts";
export { MemoryTier, MemoryTierStore } from "./tier-store.ts";
export { VirtualClock } from "./virtual-clock.ts";
export type { Fragmentation } from "./wire.ts";
