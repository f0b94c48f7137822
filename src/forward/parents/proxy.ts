/** A proxy that we go through. Apart from the option, whose schema only the thread that reads the configuration needs. */

export interface ParentProxy {
  readonly kind: "http" | "https" | "socks5";
  /** A name or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** null: it asks for none. Both decoded. */
  readonly credentials: { readonly user: string; readonly password: string } | null;
}

/** How logs and errors call it: without its credentials. */
export function parentName({ kind, host, port }: ParentProxy): string {
  return `${kind}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
