/** How `explain` names a feature of `use`. */
import type { UseConfig } from "../config/config.ts";
import { joinOr } from "../config/problems.ts";

/** The feature and what tells it from another one of its kind; never a value of a field, which may be a secret. */
export function describeUse(use: UseConfig): string {
  switch (use.feature) {
    case "headers": {
      const names = Object.entries(use.options).flatMap(([side, { set, add, remove }]) => {
        const changed = [...Object.keys(set), ...Object.keys(add), ...remove];
        return changed.length === 0 ? [] : [`${side}: ${changed.join(", ")}`];
      });
      return `headers (${names.join("; ")})`;
    }
    case "stripPrefix":
      return `stripPrefix ${use.options}`;
    case "rewrite":
      return `rewrite ${use.options.match} to ${JSON.stringify(use.options.to)}`;
    case "ipAllow": {
      const { allow, deny } = use.options;
      const denied = deny.length === 0 ? [] : [`not ${deny.join(", ")}`];
      return `ipAllow ${[...denied, allow === null ? "everybody else" : allow.join(", ")].join("; ")}`;
    }
    case "compress":
      return `compress ${use.options.encodings.join(", ")}`;
    case "credentials":
      return `credentials (token: ${placesOf(use.options.token)}; session: ${use.options.session.store.name})`;
    case "jwt":
      return `jwt (token: ${placesOf(use.options.tokens)})`;
    case "basicAuth":
      return `basicAuth ${use.options.file ?? count(Object.keys(use.options.users ?? {}).length, "user")}`;
    case "apiKey": {
      const { file, keys, from } = use.options;
      const places = from.map((place) => (place.kind === "bearer" ? "bearer" : `${place.kind}:${place.name}`));
      return `apiKey ${joinOr(places)}, ${file ?? count(keys?.length ?? 0, "key")}`;
    }
    case "clientCertificate": {
      const { subjects, sans, fingerprints } = use.options;
      const wanted = [subjects, sans, fingerprints].flatMap((list) => (list === undefined ? [] : [joinOr(list)]));
      return `clientCertificate ${wanted.length === 0 ? "of a trusted authority" : wanted.join("; ")}`;
    }
    case "forwardAuth":
      // What stands behind a question mark may be a secret.
      return `forwardAuth asks ${use.upstream}${use.options.address.target.replace(/\?.*$/s, "")}`;
    case "oidc":
      return `oidc ${use.options.issuer} as ${use.options.clientId}`;
    case "cache":
      return `cache ${use.cache}`;
    case "plugin":
      return `${use.plugin.name} (plugin)`;
  }
}

function placesOf({
  places,
}: {
  readonly places: readonly { readonly kind: string; readonly name?: string }[];
}): string {
  return places.map(({ kind, name }) => (name === undefined ? kind : `${kind} ${name}`)).join(", ");
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
