/** The `log` block: what the proxy says about itself, and what it says about each exchange. */
import { z } from "zod";
import { filePath } from "../core/option-files.ts";
import { fieldName, textKind } from "../core/option-types.ts";
import { ACCESS_FIELDS_DEFAULT, type AccessField, parseAccessField, parseAccessTemplate } from "./access-fields.ts";
import type { AccessFormat, LogOutput } from "./config.ts";
import { foreignIn, suggestFormat } from "./foreign-placeholders.ts";

/** Always redacted, whatever `redact` names besides. */
const REDACTED_ALWAYS = ["authorization", "cookie", "set-cookie", "proxy-authorization"] as const;

const accessField = textKind<AccessField>({
  id: "accessField",
  expected: "a field of the access log",
  description: "The name of a field of the access log, `header:NAME` or `responseHeader:NAME`.",
  parse: parseAccessField,
});

/** The words are checked before the template, so that "jsno" is told apart from a template without a field. */
const format = textKind<AccessFormat | "json">({
  id: "accessFormat",
  expected: "json, combined, or a template such as {client} {method} {path} {status}",
  description:
    "`json`, `combined` (as Apache and nginx write it), or a template such as `{client} {method} {path} {status}`. `{{` and `}}` are the braces themselves. In a template what a field says is escaped as in a string of JSON, and `-` stands for what is not there.",
  parse: (text) => {
    if (text === "json" || text === "combined") return text === "json" ? text : { kind: text };
    const template = parseAccessTemplate(text);
    return template.ok ? { kind: "template", parts: template.parts } : null;
  },
  explain: (text) => {
    const template = parseAccessTemplate(text);
    if (template.ok) return null;
    if (/[{}]/.test(text)) return template.error;
    const foreign = foreignIn(text);
    return foreign === null ? null : `fields stand in braces, and ${foreign} is none`;
  },
  suggest: suggestFormat,
});

const output = z.union([
  z.enum(["stdout", "stderr"]).transform((kind): LogOutput => ({ kind })),
  filePath().transform((path): LogOutput => ({ kind: "file", path })),
]);

const access = z
  .strictObject({
    format: format()
      .prefault("json")
      .describe("How a line looks: `json`, `combined`, or a template such as `{client} {method} {path} {status}`."),
    fields: z
      .array(accessField())
      .min(1)
      .prefault([...ACCESS_FIELDS_DEFAULT])
      .describe("What a line of `json` has, in this order. The list of names is at the end of this page."),
    output: output
      .prefault("stdout")
      .describe("`stdout`, `stderr`, or a file, which is opened again on SIGHUP so that it can be rotated."),
    sample: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe("The share of exchanges that is logged, from 0 to 1. Those that failed are always logged."),
    redact: z
      .array(fieldName())
      .prefault([])
      .describe(
        `Header fields whose values are never written, besides ${REDACTED_ALWAYS.join(", ")}, which never are.`,
      ),
    redactQuery: z
      .array(z.string().min(1))
      .default([])
      .describe(
        "Parameters of queries whose values are never written, also not within `Referer` and `Location`; besides those that `apiKey`, `credentials` and `jwt` look for keys and tokens in, which never are.",
      ),
  })
  .transform(({ format, fields, output, sample, redact, redactQuery }) => ({
    format: format === "json" ? ({ kind: "json", fields } as const) : format,
    output,
    sample,
    redact: [...new Set([...REDACTED_ALWAYS, ...redact])],
    redactQuery,
  }));

const off = z.literal("off").transform((): null => null);

export const log = z.strictObject({
  level: z
    .enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"])
    .default("info")
    .describe("The least important message that the proxy writes about itself, to standard error."),
  access: z.union([off, access]).prefault({}).describe("The access log: one line for each exchange. `off`: none."),
});

/** The `log` block of a route. */
export const routeLog = z.strictObject({
  access: z
    .union([
      off,
      z.strictObject({
        sample: z
          .number()
          .min(0)
          .max(1)
          .describe(
            "The share of this route's exchanges that is logged, from 0 to 1. Those that failed are always logged.",
          ),
      }),
    ])
    .optional()
    .describe("The access log of this route. `off`: none, not even of failures."),
});
