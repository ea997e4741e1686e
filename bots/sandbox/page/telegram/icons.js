// Icons: lines on a field of 24 by 24, in the colour of the text.

import { h } from "../dom.js";

const PATHS = {
  attach: "M20 11.5l-8 8a5 5 0 0 1-7-7l8.5-8.5a3.4 3.4 0 0 1 4.8 4.8L9.8 17.3a1.7 1.7 0 0 1-2.4-2.4l7.6-7.6",
  back: "M20 12H5M11 5l-7 7 7 7",
  check: "M4 12.5l5.5 5.5L20 7",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  delete: "M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10 11v5M14 11v5",
  down: "M12 4v15M5 12.5l7 7 7-7",
  edit: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  eye: "M2.5 12C5 7.5 8.3 5.5 12 5.5s7 2 9.5 6.5c-2.5 4.5-5.8 6.5-9.5 6.5S5 16.5 2.5 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  forward: "M13 5l7 6.5-7 6.5v-4C8 14 5.5 15.5 4 19c0-6 3-9.5 9-10z",
  link: "M9 15L18 6M11 6h7v7M6 10v8h8",
  menu: "M5 7h14M5 12h14M5 17h14",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  plus: "M12 5v14M5 12h14",
  reply: "M11 5l-7 6.5 7 6.5v-4c5 0 7.5 1.5 9 5 0-6-3-9.5-9-10z",
  sticker: "M20 13a8 8 0 1 1-9-9c0 5 4 9 9 9zM11 4l9 9M8 12h.01M12 9h.01M8.5 15.5a4 4 0 0 0 4 1",
  send: "M4 4.5l17 7.5-17 7.5 3-7.5zM7 12h9",
};

// A decorative icon: what shows it needs a label.
export function icon(name) {
  return h(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" },
    h("path", { d: PATHS[name] }),
  );
}
