// The simulated network keeps the contract of connections as the real transports do. What needs a machine (addresses,
// processes, descriptors) is left out: `testOnSockets` skips it here.

process.env.HEADGATE_TRANSPORT = "simulated";

await import("../transport/backpressure.test.ts");
await import("../transport/ending.test.ts");
await import("../transport/forwarding.test.ts");
await import("../transport/handlers.test.ts");
await import("../transport/splicing.test.ts");
await import("../transport/splicing-ends.test.ts");
await import("../transport/writing.test.ts");

export {};
