/** Heads as they come: of a browser's request, and of an origin's answer. Line by line, without the empty line at the end. */

/** Heads that differ from each other. */
const VARIANTS = 32;

/** As Chromium sends them, without those of the connection. */
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
];

export const browserHead = [
  "GET /jmap/upload/u123/?types=a,b&x=1 HTTP/1.1",
  "Host: mail.example.org",
  "Connection: keep-alive",
  ...BROWSER_FIELDS,
];

/** Of an answer with a body of 2 KiB. */
export const originHead = [
  "HTTP/1.1 200 OK",
  "Server: nginx",
  "Date: Sat, 21 Nov 2026 05:00:00 GMT",
  "Content-Type: application/json",
  "Content-Length: 2048",
  "Connection: keep-alive",
  'ETag: "65f0c1a2-800"',
  "Cache-Control: no-cache",
];

/** Heads like the given one: some lines longer, some missing. */
export function variantsOf(lines: readonly string[]): string[][] {
  return Array.from({ length: VARIANTS }, (_, variant) =>
    lines.flatMap((line, index) => {
      const chance = (variant * 31 + index * 17) % 23;
      if (index > 1 && chance < 3) return [];
      return [index > 1 && chance > 17 ? line + "x".repeat(chance) : line];
    }),
  );
}
