// What a link in a message does: it opens another page, or a chat of the sandbox.

const SAFE_SCHEMES = new Set(["http:", "https:", "mailto:", "tel:"]);

// The address if a browser may open it, otherwise null: no scripts, no files.
export function safeUrl(url) {
  const text = String(url ?? "").trim();
  try {
    return SAFE_SCHEMES.has(new URL(withScheme(text)).protocol) ? withScheme(text) : null;
  } catch {
    return null;
  }
}

function withScheme(url) {
  return /^[a-z][a-z0-9+.-]*:/i.test(url) && !/^[\w.-]+:\d/.test(url) ? url : `http://${url}`;
}

// The parts of a link such as https://t.me/some_bot?start=abc or tg://resolve?domain=some_bot&start=abc: `username`,
// `start` (null: without), `startgroup`. Null for other links.
export function parseDeepLink(url) {
  let parsed;
  try {
    parsed = new URL(withScheme(String(url ?? "").trim()));
  } catch {
    return null;
  }
  const username = deepLinkName(parsed);
  if (!/^\w{4,32}$/.test(username)) return null;
  return { username, start: parsed.searchParams.get("start"), startgroup: parsed.searchParams.get("startgroup") };
}

function deepLinkName(url) {
  if (url.protocol === "tg:") {
    return url.href.startsWith("tg://resolve?") ? (url.searchParams.get("domain") ?? "") : "";
  }
  const isTelegram = ["http:", "https:"].includes(url.protocol) && ["t.me", "telegram.me"].includes(url.hostname);
  return isTelegram ? url.pathname.slice(1).replace(/\/$/, "") : "";
}
