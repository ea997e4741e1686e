// Scenarios at one click: what each breaks, its steps, and what to look at.

import { h } from "../dom.js";

export function scenariosView({ state, send }) {
  const scenarios = Object.values(state.inside.scenarios);
  if (!scenarios.length) return null;
  const running = scenarios.find((one) => one.state === "running");
  const shown = running ?? scenarios.filter((one) => one.state === "done").sort((a, b) => b.seq - a.seq)[0];
  return h(
    "section",
    { class: "scenarios", "aria-label": "Scenarios" },
    h("h2", null, "See what happens when…"),
    h(
      "div",
      { class: "controls" },
      scenarios.map((one) =>
        h(
          "button",
          {
            key: one.name,
            type: "button",
            disabled: Boolean(running),
            "aria-pressed": one.state === "running" ? "true" : null,
            onclick: () => send("scenario.start", { name: one.name }),
          },
          one.title,
        ),
      ),
    ),
    h(
      "div",
      { class: "scenario", "aria-live": "polite" },
      shown && [
        h("p", { class: "look-at" }, h("b", null, "Look at: "), shown.look_at),
        h(
          "ol",
          { class: "steps", "aria-label": "Steps" },
          shown.steps.map((step, index) =>
            h("li", { class: running && index === shown.steps.length - 1 ? "current" : "" }, step.text),
          ),
        ),
        h("p", { class: "muted" }, running ? "Running…" : "The scenario has ended."),
      ],
    ),
  );
}
