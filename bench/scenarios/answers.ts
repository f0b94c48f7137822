/** Answers with bodies: where moving bytes begins to count. */
import { requestCost } from "./request-cost.ts";

export const answer10k = requestCost({
  name: "10k",
  title: "an answer of 10 KiB",
  about: "A file that nginx serves from memory: one or two reads of the target per answer.",
  path: "/10k",
  files: ["10k"],
});

export const answer1m = requestCost({
  name: "1m",
  title: "an answer of 1 MiB",
  about: "Moving bytes is most of the work; spliced where the target can.",
  path: "/1m",
  files: ["1m"],
});
