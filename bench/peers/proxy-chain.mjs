// proxy-chain as its README shows it, straight to the destinations: a forward proxy.
import { Server } from "proxy-chain";

const server = new Server({ port: Number(process.argv[2]), host: "127.0.0.1" });
server.server.keepAliveTimeout = 3_600_000;
await server.listen();
