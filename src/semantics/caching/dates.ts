/**
 * HTTP dates (RFC 9110, section 5.6.7): the three forms that a recipient must know, and nothing else. A date in another form is no
 * date: a broken Expires is in the past (RFC 9111, section 5.3). Letters are compared without case, since many senders get it wrong
 * and nobody can be misled by it; the name of the day is not checked against the date, because it says nothing new.
 */

const DAY = "(?:mon|tue|wed|thu|fri|sat|sun)";
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"] as const;
const MONTH = `(${MONTHS.join("|")})`;
const TIME = "([01]\\d|2[0-3]):([0-5]\\d):([0-5]\\d|60)";

/** Sun, 06 Nov 1994 08:49:37 GMT */
const IMF_FIXDATE = new RegExp(`^${DAY}, (\\d\\d) ${MONTH} (\\d{4}) ${TIME} gmt$`, "i");
/** Sunday, 06-Nov-94 08:49:37 GMT */
const RFC_850 = new RegExp(`^(?:mon|tues|wednes|thurs|fri|satur|sun)day, (\\d\\d)-${MONTH}-(\\d\\d) ${TIME} gmt$`, "i");
/** Sun Nov  6 08:49:37 1994 */
const ASCTIME = new RegExp(`^${DAY} ${MONTH} ([ \\d]\\d) ${TIME} (\\d{4})$`, "i");

/** A year of two digits is never further in the future than this (RFC 9110, section 5.6.7). */
const FUTURE_YEARS_MAX = 50;

/** Milliseconds since 1970; null when it is no date. `nowMs` tells the century of a year with two digits. */
export function parseHttpDate(text: string, nowMs: number): number | null {
  let match = IMF_FIXDATE.exec(text);
  if (match !== null) return dateOf(Number(match[3]), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
  match = RFC_850.exec(text);
  if (match !== null) {
    return dateOf(fullYear(Number(match[3]), nowMs), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
  }
  match = ASCTIME.exec(text);
  if (match !== null) return dateOf(Number(match[6]), match[1]!, match[2]!, match[3]!, match[4]!, match[5]!);
  return null;
}

/** As IMF-fixdate, the one form that may be sent. */
export function formatHttpDate(ms: number): string {
  return new Date(ms).toUTCString();
}

/** The latest year with these two digits that is no more than 50 years ahead. */
function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + 100 + twoDigits;
  return year - Math.ceil(Math.max(year - FUTURE_YEARS_MAX - thisYear, 0) / 100) * 100;
}

function dateOf(year: number, month: string, day: string, hour: string, minute: string, second: string): number | null {
  const monthIndex = MONTHS.indexOf(month.toLowerCase() as (typeof MONTHS)[number]);
  const midnight = Date.UTC(year, monthIndex, Number(day));
  const date = new Date(midnight);
  // The 31st of a shorter month would be a day of the next one, and a year below 100 one of the last century.
  if (date.getUTCDate() !== Number(day) || date.getUTCFullYear() !== year) return null;
  return midnight + ((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000;
}
