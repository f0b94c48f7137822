/**
 * Whether a text is JSON, and where it ceases to be (RFC 8259). The parser that keeps positions is one for YAML and takes
 * comments, trailing commas and bare words; a file that says it is JSON is read by other programs too, and has none.
 */

/** What may come next: a row of the grammar. */
type State = "value" | "valueOrEnd" | "key" | "keyOrEnd" | "colon" | "commaOrEnd" | "end";

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\\0-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

export interface JsonMistake {
  readonly offset: number;
  /** Completes "expected ...". */
  readonly expected: string;
  /** What is there instead. */
  readonly found: string;
}

/** The first mistake, or null. A byte order mark is passed over, as JSON.parse's callers do. */
export function jsonMistake(text: string): JsonMistake | null {
  const open: ("{" | "[")[] = [];
  let state: State = "value";
  let offset = text.startsWith("\uFEFF") ? 1 : 0;
  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = offset;
    if (!pattern.test(text)) return false;
    offset = pattern.lastIndex;
    return true;
  };
  for (;;) {
    take(SPACE);
    const character = text.charAt(offset);
    const block = open.at(-1);
    const isValue: boolean = state === "value" || state === "valueOrEnd";
    if (character === "") {
      return state === "end"
        ? null
        : {
            offset: Math.max(text.trimEnd().length - 1, 0),
            ...expectation(state, block),
            found: "the end of the file",
          };
    }
    if (isValue && (character === "{" || character === "[")) {
      open.push(character);
      offset++;
      state = character === "{" ? "keyOrEnd" : "valueOrEnd";
    } else if (closes(character, state, block)) {
      open.pop();
      offset++;
      state = open.length === 0 ? "end" : "commaOrEnd";
    } else if (isValue && (take(STRING) || take(SCALAR))) {
      state = block === undefined ? "end" : "commaOrEnd";
    } else if ((state === "key" || state === "keyOrEnd") && take(STRING)) {
      state = "colon";
    } else if (state === "colon" && character === ":") {
      offset++;
      state = "value";
    } else if (state === "commaOrEnd" && character === ",") {
      offset++;
      state = block === "{" ? "key" : "value";
    } else {
      return { offset, ...expectation(state, block), found: JSON.stringify(character) };
    }
  }
}

function closes(character: string, state: State, block: "{" | "[" | undefined): boolean {
  if (character === "}") return block === "{" && (state === "keyOrEnd" || state === "commaOrEnd");
  return character === "]" && block === "[" && (state === "valueOrEnd" || state === "commaOrEnd");
}

function expectation(state: State, block: "{" | "[" | undefined): { readonly expected: string } {
  if (state === "commaOrEnd") return { expected: block === "{" ? "a comma or }" : "a comma or ]" };
  const expected: Readonly<Record<Exclude<State, "commaOrEnd">, string>> = {
    value: "a value",
    valueOrEnd: "a value or ]",
    key: "a name in double quotes",
    keyOrEnd: "a name in double quotes or }",
    colon: "a colon",
    end: "the end of the file",
  };
  return { expected: expected[state] };
}
