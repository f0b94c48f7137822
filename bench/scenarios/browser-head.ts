/** What a real head costs. */
import { BROWSER_FIELDS } from "../micro/heads.ts";
import { requestCost } from "./request-cost.ts";

export const browserHead = requestCost({
  name: "browser-head",
  title: "a small answer to a browser's request of 15 fields",
  about: "As `small`, with a head of about 670 bytes: what reading, checking and rewriting a real head costs.",
  path: "/upload/u123/?types=a,b&x=1",
  // With Host, which wrk adds, 15 fields.
  headers: [...BROWSER_FIELDS, "Priority: u=0, i"],
  chart: "the same with a browser's head of 15 fields",
});
