/** A feature has proved who asks. What one in front of it has proved is as true as before, and stands `besides`. */
export function identify<Identity extends object>(exchange: { identity: Identity | null }, identity: Identity): void {
  const before = exchange.identity;
  exchange.identity = before === null ? identity : { ...identity, besides: before };
}
