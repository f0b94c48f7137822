// The three forms of an HTTP date, and what is none of them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { seed } from "../../../test/support/seed.ts";
import { formatHttpDate, parseHttpDate } from "./dates.ts";

const NOW = Date.UTC(2026, 10, 26);
const NOVEMBER_1994 = Date.UTC(1994, 10, 6, 8, 49, 37);

describe("an HTTP date", () => {
  const table: readonly (readonly [text: string, ms: number | null])[] = [
    // The three forms of RFC 9110, section 5.6.7.
    ["Sun, 06 Nov 1994 08:49:37 GMT", NOVEMBER_1994],
    ["Sunday, 06-Nov-94 08:49:37 GMT", NOVEMBER_1994],
    ["Sun Nov  6 08:49:37 1994", NOVEMBER_1994],
    ["Sun Nov 16 08:49:37 1994", NOVEMBER_1994 + 10 * 86_400_000],
    // Letters of another case, a wrong day of the week, a leap second, the last second of 32 bits and what comes behind it.
    ["SUN, 06 nov 1994 08:49:37 gmt", NOVEMBER_1994],
    ["Mon, 06 Nov 1994 08:49:37 GMT", NOVEMBER_1994],
    ["Sat, 31 Dec 2016 23:59:60 GMT", Date.UTC(2017, 0, 1)],
    ["Tue, 19 Jan 2038 14:14:08 GMT", Date.UTC(2038, 0, 19, 14, 14, 8)],
    ["Sun, 21 Nov 2286 04:46:39 GMT", Date.UTC(2286, 10, 21, 4, 46, 39)],
    // Two digits: at most fifty years ahead.
    ["Thursday, 18-Aug-50 02:01:18 GMT", Date.UTC(2050, 7, 18, 2, 1, 18)],
    ["Thursday, 18-Aug-76 02:01:18 GMT", Date.UTC(2076, 7, 18, 2, 1, 18)],
    ["Thursday, 18-Aug-77 02:01:18 GMT", Date.UTC(1977, 7, 18, 2, 1, 18)],
    // Not one of the forms.
    ["", null],
    ["0", null],
    ["Thu, 18 Aug 2050 02:01:18 UTC", null],
    ["Thu, 18 Aug 2050 02:01:18 AEST", null],
    ["Thu, 18 Aug 2050 02:01:18 +0000", null],
    ["Thu, 18 Aug 2050 02:01:18", null],
    ["Thu, 18 Aug 50 02:01:18 GMT", null],
    ["Thu 18 Aug 2050 02:01:18 GMT", null],
    ["Thu, 18  Aug  2050 02:01:18 GMT", null],
    ["Thu, 18-Aug-2050 02:01:18 GMT", null],
    ["Thu, 18 Aug 2050 02.01.18 GMT", null],
    ["Thu, 18 Aug 2050 2:01:18 GMT", null],
    ["Thu, 18 Aug 2050 02:01:18 GMT, x", null],
    ["Thu, 8 Aug 2050 02:01:18 GMT", null],
    ["Thu, 31 Feb 2050 02:01:18 GMT", null],
    ["Thu, 00 Aug 2050 02:01:18 GMT", null],
    ["Thu, 18 Aug 2050 24:00:00 GMT", null],
    ["Thu, 18 Aug 2050 02:60:18 GMT", null],
    ["Thu, 18 Aug 2050 02:01:61 GMT", null],
    ["Thu, 18 Aug 0050 02:01:18 GMT", null],
    ["Thu, 18-Aug-50 02:01:18 GMT", null],
    ["Thu Aug 8 02:01:18 2050", null],
    ["2050-08-18T02:01:18Z", null],
  ];
  for (const [text, ms] of table) {
    it(`${JSON.stringify(text)} is ${ms === null ? "none" : new Date(ms).toISOString()}`, () => {
      assert.equal(parseHttpDate(text, NOW), ms);
    });
  }

  it("is read as it was written, in each form", () => {
    const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    const seconds = fc.integer({ min: Date.UTC(1977, 0, 1) / 1000, max: Date.UTC(2076, 0, 1) / 1000 });
    fc.assert(
      fc.property(seconds, (second) => {
        const ms = second * 1000;
        const text = formatHttpDate(ms);
        const [, day = "", month = "", year = "", time = ""] = text.split(" ");
        const weekday = days[new Date(ms).getUTCDay()];
        assert.equal(parseHttpDate(text, NOW), ms);
        assert.equal(parseHttpDate(`${weekday}, ${day}-${month}-${year.slice(2)} ${time} GMT`, NOW), ms);
        assert.equal(parseHttpDate(`${text.slice(0, 3)} ${month} ${day.replace(/^0/, " ")} ${time} ${year}`, NOW), ms);
      }),
      { seed },
    );
  });

  it("never comes out of anything but a date", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.stringMatching(/^[A-Z][a-z]{2}, \d{1,3}[ -][A-Z][a-z]{2}[ -]\d{1,5} [\d:.]{5,9} [A-Z]{2,4}$/),
        ),
        (text) => {
          const ms = parseHttpDate(text, NOW);
          if (ms !== null) assert.equal(parseHttpDate(formatHttpDate(ms), NOW), ms);
        },
      ),
      { seed },
    );
  });
});
