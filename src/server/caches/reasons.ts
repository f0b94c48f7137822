/** The sentences of what Cache-Status says in a word, for commands that show it to people. */
import { REASONS } from "../../features/cache/reasons.ts";

/** `detail`: as Cache-Status has it. null: it is none of ours. */
export function sentenceOfDetail(detail: string): string | null {
  return Object.hasOwn(REASONS, detail) ? REASONS[detail as keyof typeof REASONS] : null;
}
