// The connection to the sandbox. The protocol is described in bots/sandbox/web/protocol.py.
//
//     const connection = connect({onEvents(events, isNewEpoch), onStatus(status)});
//     await connection.send("telegram.send", {person: 1001, chat: 1001, text: "Hello"})
//
// `onStatus` gets "connecting", "open", "lost" (a new attempt follows) or "refused" (the page needs a new address).
// `send` resolves with the action's result and rejects with an Error whose message is for the user.

const FIRST_RETRY_MS = 300;
const MAX_RETRY_MS = 5000;
const POLICY_VIOLATION = 1008;

export function connect({ onEvents, onStatus }) {
  const waiting = new Map(); // action number -> {resolve, reject}
  let socket = null;
  let epoch = "";
  let lastSeq = 0;
  let actionCount = 0;
  let retryMs = FIRST_RETRY_MS;

  function open() {
    onStatus("connecting");
    socket = new WebSocket(`ws://${location.host}/socket?epoch=${epoch}&since=${lastSeq}`);
    socket.onmessage = (message) => receive(JSON.parse(message.data));
    socket.onclose = (event) => close(event.code);
  }

  function receive(frame) {
    if ("reply" in frame) {
      const action = waiting.get(frame.reply);
      waiting.delete(frame.reply);
      if ("error" in frame) action?.reject(new Error(frame.error));
      else action?.resolve(frame.result);
      return;
    }
    const isNewEpoch = frame.epoch !== epoch;
    epoch = frame.epoch;
    if (isNewEpoch) lastSeq = 0;
    for (const event of frame.events) lastSeq = Math.max(lastSeq, event.seq);
    onEvents(frame.events, isNewEpoch);
    if (frame.is_replay) {
      retryMs = FIRST_RETRY_MS;
      onStatus("open");
    }
  }

  async function close(code) {
    for (const action of waiting.values()) action.reject(new Error("The connection to the sandbox was lost."));
    waiting.clear();
    if (code === POLICY_VIOLATION) console.error("The sandbox did not understand an action.");
    onStatus((await isRefused()) ? "refused" : "lost");
    setTimeout(open, retryMs);
    retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
  }

  // A browser does not say why a websocket could not be opened, so ask for the page.
  async function isRefused() {
    try {
      return (await fetch("/", { cache: "no-store" })).status === 403;
    } catch {
      return false;
    }
  }

  function send(action, fields) {
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("The sandbox is not connected."));
    actionCount += 1;
    const id = actionCount;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ ...fields, action, id }));
    });
  }

  open();
  return { send };
}

// Sends a File to the server. Resolves with the upload's ID for the fields `upload` of actions, and rejects with an Error
// whose message is for the user.
export async function upload(file) {
  const request = fetch(`/uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  const response = await request.catch(() => null); // null: the sandbox is not there, or has closed the connection
  if (response?.status === 413) throw new Error("This file is too large: at most 20 MB.");
  if (!response?.ok) throw new Error("The file could not be sent.");
  return (await response.json()).upload;
}
