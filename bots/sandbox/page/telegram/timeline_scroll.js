// Where the open chat is scrolled to: it stays at the newest message if it was there, or where the reader has scrolled.

const NEAR_END_PIXELS = 80;

export class TimelineScroll {
  #element = null;
  #place = null;
  #followsEnd = true;
  #onEnd;

  // `onEnd` is called when the reader has scrolled to the newest message.
  constructor(onEnd) {
    this.#onEnd = onEnd;
  }

  watch(element) {
    this.#element = element;
    // Scroll events do not bubble, and pictures have their size only when they are loaded.
    element.addEventListener("scroll", (event) => this.#scrolled(event.target), true);
    element.addEventListener("load", () => this.#followsEnd && this.toEnd(), true);
  }

  // After drawing: `place` identifies the open chat or topic.
  follow(place) {
    if (place !== this.#place) this.#followsEnd = true;
    this.#place = place;
    if (this.#followsEnd) this.toEnd();
  }

  get isAtEnd() {
    const timeline = this.#timeline;
    return timeline === null || timeline.scrollHeight - timeline.scrollTop - timeline.clientHeight < NEAR_END_PIXELS;
  }

  toEnd(behavior = "instant") {
    const timeline = this.#timeline;
    timeline?.scrollTo({ top: timeline.scrollHeight, behavior });
  }

  // Whether the message is there.
  to(messageId) {
    const message = this.#element.querySelector(`[data-message="${messageId}"]`);
    if (message === null) return false;
    message.scrollIntoView({ block: "center", behavior: "smooth" });
    message.animate([{}, { filter: "brightness(0.85)" }, {}], { duration: 700, iterations: 2 });
    return true;
  }

  get #timeline() {
    return this.#element?.querySelector(".timeline") ?? null;
  }

  #scrolled(target) {
    if (target !== this.#timeline) return;
    this.#followsEnd = this.isAtEnd;
    target.parentElement.classList.toggle("scrolled-up", !this.#followsEnd);
    if (this.#followsEnd) this.#onEnd();
  }
}
