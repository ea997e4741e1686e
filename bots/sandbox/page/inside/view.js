// What happens inside: `insideView(context)` returns the pane's tree. See frame.js for `context`.

import { h } from "../dom.js";

export function insideView({ state, send }) {
  const { calls, requests, bot } = state.inside;
  const isDown = bot?.state === "killed" || bot?.state === "stopped";
  return h(
    "div",
    { class: "inside" },
    h(
      "div",
      { class: "client-bar" },
      h("button", { type: "button", disabled: isDown, onclick: () => send("bot.kill") }, "Kill the bot"),
      h("button", { type: "button", disabled: !isDown, onclick: () => send("bot.start") }, "Start the bot"),
    ),
    h(
      "ol",
      { class: "calls", "aria-label": "Requests and calls" },
      Object.values(requests)
        .slice(-5)
        .map((one) => h("li", null, `${one.model}: ${one.state}, ${one.prompt_tokens} + ${one.completion_tokens} tokens`)),
      calls
        .slice(-50)
        .reverse()
        .map((call) => h("li", { key: call.key }, `${call.platform} ${call.method} ${call.status}`)),
    ),
  );
}
