// Connects the parts: events change the state, and each change draws the page again: what the sandbox announces at most
// once a frame, what the person does before the next key or click, so that it finds the page as it is.

import { render } from "./dom.js";
import { frame } from "./frame.js";
import { connect, upload as uploadFile } from "./socket.js";
import { EMPTY_STATE, reduceAll } from "./state.js";
import { createUi } from "./ui.js";

const CLOCK_MS = 1000; // drawing again lets typing indicators and notices end

const root = document.getElementById("app");
let state = EMPTY_STATE;
let status = "connecting";
let toasts = [];
let isScheduled = false;
let isDue = false;

function drawAfterThisEvent() {
  if (isDue) return;
  isDue = true;
  queueMicrotask(draw);
}

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  // Hidden windows get no animation frames.
  if (document.hidden) setTimeout(draw, 50);
  else requestAnimationFrame(draw);
}

function draw() {
  isScheduled = isDue = false;
  document.documentElement.dataset.theme = ui.frame.theme;
  render(root, frame({ state, ui, setUi, send, upload, toast: showToast, status, toasts, now: Date.now() / 1000 }));
}

const { ui, setUi } = createUi(drawAfterThisEvent);
const connection = connect({
  onEvents(events, isNewEpoch) {
    state = reduceAll(isNewEpoch ? EMPTY_STATE : state, events);
    schedule();
  },
  onStatus(value) {
    status = value;
    schedule();
  },
});

// Resolves with the result of an action. A failure is shown to the person, and resolves with undefined.
async function send(action, fields = {}) {
  try {
    return await connection.send(action, fields);
  } catch (error) {
    showToast(error.message);
    return undefined;
  }
}

// Resolves with the upload's ID. A failure is shown to the person, and resolves with undefined.
async function upload(file) {
  try {
    return await uploadFile(file);
  } catch (error) {
    showToast(error.message);
    return undefined;
  }
}

function showToast(text) {
  toasts = [...toasts, { text, until: Date.now() / 1000 + 6 }].slice(-3);
  schedule();
}

setInterval(() => {
  toasts = toasts.filter((toast) => toast.until > Date.now() / 1000);
  schedule();
}, CLOCK_MS);
draw();
