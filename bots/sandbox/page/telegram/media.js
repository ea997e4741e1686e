// Draws photos, files, recordings and the other things that a message may carry besides text.

import { h } from "../dom.js";

const UNITS = ["B", "KB", "MB", "GB"];
const OTHER_CONTENT = {
  poll: (poll) => `📊 Poll: ${poll.question}`,
  checklist: (checklist) => `☑ Checklist: ${checklist.title}`,
  contact: (contact) =>
    `👤 ${[contact.first_name, contact.last_name].filter(Boolean).join(" ")}, ${contact.phone_number}`,
  venue: (venue) => `📍 ${venue.title}, ${venue.address}`,
  location: (location) => `📍 ${location.latitude}, ${location.longitude}`,
  dice: (dice) => `${dice.emoji} ${dice.value}`,
  story: () => "Story",
  game: (game) => `🎮 ${game.title}`,
  invoice: (invoice) => `🧾 ${invoice.title}`,
  giveaway: () => "🎁 Giveaway",
  paid_media: () => "⭐ Paid media",
};

// Sizes as people read them: 512 B, 1.5 KB.
export function formatSize(bytes) {
  let size = Number(bytes) || 0;
  let unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit > 0 && size < 10 ? size.toFixed(1) : Math.round(size)} ${UNITS[unit]}`;
}

// Seconds as m:ss.
export function formatDuration(seconds) {
  const whole = Math.max(0, Math.round(Number(seconds) || 0));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

// The name of what a message carries, such as "Photo"; empty for a message of text.
export function mediaLabel(message) {
  if (message.photo) return "Photo";
  if (message.voice) return "Voice message";
  if (message.sticker) return `${message.sticker.emoji ?? ""} Sticker`.trim();
  if (message.animation) return "GIF";
  if (message.video || message.video_note) return "Video";
  if (message.audio) return message.audio.title || message.audio.file_name || "Audio";
  if (message.document) return message.document.file_name || "File";
  const field = Object.keys(OTHER_CONTENT).find((name) => message[name]);
  return field ? OTHER_CONTENT[field](message[field]) : "";
}

// What a message or a block carries; null without. `context.fileUrl(fileId)` is where the page finds a file, or null.
export function drawMedia(message, context) {
  // A GIF is also a document.
  if (message.animation) return drawVideo(message.animation, context, { loop: true, muted: true });
  if (message.photo) return drawPhoto(message.photo, context, message.has_media_spoiler);
  if (message.sticker) return drawSticker(message.sticker, context);
  if (message.video ?? message.video_note) return drawVideo(message.video ?? message.video_note, context, {});
  if (message.voice ?? message.audio) return drawRecording(message, context);
  if (message.document) return drawDocument(message.document, context);
  const field = Object.keys(OTHER_CONTENT).find((name) => message[name]);
  return field ? h("div", { class: "other-content" }, OTHER_CONTENT[field](message[field])) : null;
}

function drawPhoto(sizes, context, hasSpoiler) {
  const photo = sizes.at(-1);
  const url = context.fileUrl(photo.file_id);
  if (url === null) return missing("Photo");
  const image = h("img", { src: url, alt: "Photo", width: photo.width, height: photo.height, loading: "lazy" });
  return h(
    "a",
    { class: hasSpoiler ? "photo blurred" : "photo", href: url, target: "_blank", rel: "noopener noreferrer" },
    image,
  );
}

function drawSticker(sticker, context) {
  const file = sticker.is_animated || sticker.is_video ? sticker.thumbnail : sticker;
  const url = file ? context.fileUrl(file.file_id) : null;
  if (url === null) return h("div", { class: "sticker" }, sticker.emoji ?? "🙂");
  return h("img", { class: "sticker", src: url, alt: `Sticker ${sticker.emoji ?? ""}` });
}

function drawVideo(video, context, { loop = false, muted = false }) {
  const url = context.fileUrl(video.file_id);
  const poster = video.thumbnail ? context.fileUrl(video.thumbnail.file_id) : null;
  return h("video", { class: "video", src: url, poster, controls: true, loop, muted, preload: "none" });
}

function drawRecording(message, context) {
  const file = message.voice ?? message.audio;
  const name = message.voice ? "Voice message" : mediaLabel(message);
  const url = context.fileUrl(file.file_id);
  return h(
    "div",
    { class: "recording" },
    h("div", { class: "file-name" }, `${message.voice ? "🎤" : "🎵"} ${name}`),
    url === null ? missing("Recording") : h("audio", { src: url, controls: true, preload: "none", "aria-label": name }),
    h("div", { class: "file-size" }, `${formatDuration(file.duration)} · ${formatSize(file.file_size)}`),
  );
}

function drawDocument(document, context) {
  const url = context.fileUrl(document.file_id);
  const name = document.file_name || "File";
  const extension = name.includes(".") ? name.split(".").at(-1).slice(0, 4) : "file";
  const content = [
    h("span", { class: "file-icon", "aria-hidden": "true" }, extension),
    h(
      "span",
      { class: "file-text" },
      h("span", { class: "file-name" }, name),
      h("span", { class: "file-size" }, url === null ? "No longer stored" : formatSize(document.file_size)),
    ),
  ];
  return url === null
    ? h("div", { class: "file" }, content)
    : h("a", { class: "file", href: url, download: name, title: "Download" }, content);
}

function missing(name) {
  return h("div", { class: "other-content" }, `${name}: no longer stored`);
}
