/**
 * What the bench knows of a proxy: what it can do, how it is configured and started, how it is installed. All are set up
 * on equal terms: connections kept alive on both sides, forwarding fields (X-Forwarded-For, -Proto, -Host) added, no access
 * log unless the scenario asks for one, no cache, bodies streamed, as many workers as the scenario says.
 */

/** What a scenario may ask of a target. */
export type Ability =
  /** Passes requests to one origin; streams bodies of any length both ways. */
  | "reverse"
  | "workers"
  /** Takes "Connection: close" from a client and keeps its own connection to the origin. */
  | "closing"
  /** Speaks TLS with its clients. */
  | "tls"
  | "websocket"
  /** Is a forward proxy: takes requests in absolute form, to any origin. */
  | "forward"
  /** Is a forward proxy: answers CONNECT with a tunnel. */
  | "connect"
  | "routes"
  | "accessLog"
  /** Asks an endpoint about every request before it passes. */
  | "forwardAuth"
  /** And can keep what it said. */
  | "keptDecisions"
  /** Runs code of ours for every request, which reads Redis. */
  | "redisReads"
  /** Turns the token of a cookie into HTTP Basic, by a session in Redis. */
  | "credentials"
  /** Is a shared cache in front of the origin. */
  | "cache";

/** Every combination of host and path is a route of its own. */
export interface RouteTable {
  readonly hosts: readonly string[];
  /** "/p0": the route takes the path and all below. */
  readonly paths: readonly string[];
}

/** Sessions in Redis whose credentials are encrypted, and what their tokens are signed with. */
export interface Sessions {
  readonly redisPort: number;
  readonly jwt: string;
  /** 32 bytes in hex. */
  readonly credentials: string;
}

/** What a cache may take. */
export interface CacheSize {
  /** A folder for what it stores, for this target alone. */
  readonly folder: string;
  /** For what it keeps in memory, where a target can say so. */
  readonly memoryBytes: number;
  /** Enough for all that is asked for. */
  readonly diskBytes: number;
}

/** What a target shows its clients by TLS: files of PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** Both in one, as some want it. */
  readonly bundle: string;
}

/** What a scenario wants a target to do. */
export interface Assignment {
  /** A folder of its own, where its files may stand. */
  readonly folder: string;
  readonly port: number;
  readonly originPort: number;
  /** In front of the origin, or a forward proxy that reaches all of the loopback, and adds no fields. */
  readonly role: "reverse" | "forward";
  readonly workers: number;
  /** Clients that may be connected at once; upstream connections come on top. */
  readonly clientsMax: number;
  /** null: its clients speak plain HTTP. */
  readonly tls: Certificate | null;
  readonly routes: RouteTable | null;
  /** The file for one line a request. */
  readonly accessLog: string | null;
  /** Write the access log in blocks, for a target that can choose. */
  readonly accessLogBuffered: boolean;
  /** Move bodies in large pieces, for a target that can choose. */
  readonly largeBuffers: boolean;
  /** The port where GET /auth says whether a request may pass, and who it is from in X-User. */
  readonly authPort: number | null;
  /** What the endpoint says is kept for 10 s by Authorization, for a target that can. */
  readonly keepsDecisions: boolean;
  readonly redisPort: number | null;
  /** As users run it, for a target that the bench runs from its sources otherwise: what that needs is in memory too. */
  readonly asInstalled: boolean;
  /** Requests carry the token of one of these. */
  readonly sessions: Sessions | null;
  /** It keeps what the origin permits to be kept. */
  readonly cache: CacheSize | null;
}

export interface Launch {
  /** Stays in the foreground and listens on the assignment's port. */
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A file that its standard output goes to. */
  readonly stdoutFile?: string;
}

export interface Target {
  /** As `--only` names it, and the tables. */
  readonly name: string;
  readonly abilities: readonly Ability[];
  /** Why it lacks an ability, where that needs saying. */
  readonly lacks?: Readonly<Partial<Record<Ability, string>>>;
  /** Null when it is installed, otherwise how to install it. */
  missing(): string | null;
  version(): string;
  /** Writes its configuration and says how to start it. */
  launch(assignment: Assignment): Launch;
}
