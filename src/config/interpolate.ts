/**
 * References to the environment in one scalar: `${NAME}`, `${NAME:-default}`, and `$${` for the two characters themselves.
 * It works on text that was parsed already, so that a variable can never add structure to the file.
 */

export interface Interpolation {
  readonly text: string;
  /** At least one reference was replaced. */
  readonly changed: boolean;
  /** What is wrong, one sentence for each reference that could not be replaced. */
  readonly errors: readonly string[];
}

const REFERENCE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const CONTENT = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

/** As in a shell, `:-` gives its default for a variable that is unset or empty. */
export function interpolate(source: string, env: Readonly<Record<string, string | undefined>>): Interpolation {
  if (!source.includes("${")) return { text: source, changed: false, errors: [] };
  const errors: string[] = [];
  let changed = false;
  const text = source.replace(REFERENCE, (reference, content: string | undefined, close: string | undefined) => {
    changed = true;
    if (content === undefined) return "${";
    const [, name, fallback] = (close === "}" ? CONTENT.exec(content) : null) ?? [];
    if (name === undefined) {
      errors.push(`${reference} is not \${NAME} or \${NAME:-default}; write $\${ for the characters themselves`);
      return reference;
    }
    const value = Object.hasOwn(env, name) ? env[name] : undefined;
    if (fallback !== undefined) return value === undefined || value === "" ? fallback : value;
    if (value !== undefined) return value;
    errors.push(`the environment variable ${name} is not set; \${${name}:-default} would give it a default`);
    return reference;
  });
  return { text, changed, errors };
}
