// Times as people read them. The API's times are Unix times in seconds.

const QUARTER_SECONDS = 900;

// Formatters for a language and a time zone; by default those of the browser.
export function timeFormats(locale = undefined, timeZone = undefined) {
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", hour12: false, timeZone });
  const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "long", timeZone });
  const shortDay = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone });
  const full = new Intl.DateTimeFormat(locale, { dateStyle: "long", timeStyle: "medium", timeZone });
  const dayKey = new Intl.DateTimeFormat("en-CA", { dateStyle: "short", timeZone });
  const dateOf = (unixTime) => new Date(unixTime * 1000);
  const days = new Map();
  const key = (unixTime) => {
    // Offsets of time zones are whole quarters of an hour.
    const quarter = Math.floor(unixTime / QUARTER_SECONDS);
    if (!days.has(quarter)) days.set(quarter, dayKey.format(dateOf(unixTime)));
    return days.get(quarter);
  };
  return {
    clock: (unixTime) => clock.format(dateOf(unixTime)),
    full: (unixTime) => full.format(dateOf(unixTime)),
    dayKey: key,
    day: (unixTime, now) => (key(unixTime) === key(now) ? "Today" : day.format(dateOf(unixTime))),
    // The time of a message of today, otherwise its day.
    brief: (unixTime, now) => (key(unixTime) === key(now) ? clock : shortDay).format(dateOf(unixTime)),
  };
}
