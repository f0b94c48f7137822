/** What a real head costs. */
import { requestCost } from "./request-cost.ts";

/** With Host, which wrk adds, 15 fields and about 670 bytes. */
export const BROWSER_FIELDS: readonly string[] = [
  'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"',
  "sec-ch-ua-mobile: ?0",
  'sec-ch-ua-platform: "Linux"',
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Sec-Fetch-Site: none",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-User: ?1",
  "Sec-Fetch-Dest: document",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-US,en;q=0.9",
  "Cookie: session=abcdef0123456789abcdef0123456789; theme=dark",
  "Priority: u=0, i",
];

export const browserHead = requestCost({
  name: "browser-head",
  title: "a small answer to a browser's request of 15 fields",
  about: "As `small`, with a head of about 670 bytes: what reading, checking and rewriting a real head costs.",
  path: "/upload/u123/?types=a,b&x=1",
  headers: BROWSER_FIELDS,
  chart: "the same with a browser's head of 15 fields",
});
