// <vouch-player>: an <audio> whose waveform shows and sets the position. Click or drag to seek, arrows to step,
// Home and End, space to play. Without this file the browser's own controls are there.
import { clock } from "./waveform.js";

class Player extends HTMLElement {
  connectedCallback() {
    if (this.audio) return;
    this.audio = this.querySelector("audio");
    this.button = this.querySelector("[data-play]");
    this.track = this.querySelector("[data-track]");
    this.time = this.querySelector("[data-time]");
    this.label = this.dataset.label ?? "recording";
    this.classList.add("is-awake");
    this.button.hidden = false;
    const played = this.track.querySelector("svg").cloneNode(true);
    played.classList.add("is-played");
    this.track.append(played);
    this.played = played;
    Object.entries({ role: "slider", tabindex: "0", "aria-label": `Position in the ${this.label}`, "aria-valuemin": "0" })
      .forEach(([name, value]) => this.track.setAttribute(name, value));

    this.button.addEventListener("click", () => this.toggle());
    this.track.addEventListener("keydown", (event) => this.key(event));
    this.track.addEventListener("pointerdown", (event) => this.grab(event));
    for (const name of ["timeupdate", "durationchange", "seeked"]) this.audio.addEventListener(name, () => this.draw());
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.state());
    this.audio.addEventListener("error", () => { this.time.textContent = "can’t be played"; });
    this.draw();
  }

  // What a browser records has no length in its header; then the length we measured counts.
  get seconds() {
    const known = this.audio.duration;
    return Number.isFinite(known) && known > 0 ? known : Number(this.dataset.seconds) || 0;
  }

  toggle() {
    if (!this.audio.paused) return this.audio.pause();
    document.querySelectorAll("vouch-player audio").forEach((other) => other !== this.audio && other.pause());
    this.audio.play().catch(() => {});
  }

  seek(seconds) {
    const target = Math.min(Math.max(seconds, 0), this.seconds);
    if (this.audio.readyState > 0) this.audio.currentTime = target;
    else {
      this.audio.addEventListener("loadedmetadata", () => { this.audio.currentTime = target; }, { once: true });
      this.audio.load();
    }
  }

  grab(event) {
    if (event.button) return;
    const box = this.track.getBoundingClientRect();
    const to = (at) => this.seek(((at.clientX - box.left) / box.width) * this.seconds);
    to(event);
    this.track.setPointerCapture(event.pointerId);
    this.track.addEventListener("pointermove", to);
    this.track.addEventListener("lostpointercapture", () => this.track.removeEventListener("pointermove", to), { once: true });
  }

  key(event) {
    const step = Math.max(1, this.seconds / 20);
    const at = this.audio.currentTime;
    const moves = { ArrowLeft: at - step, ArrowDown: at - step, ArrowRight: at + step, ArrowUp: at + step, Home: 0, End: this.seconds };
    if (event.key in moves) this.seek(moves[event.key]);
    else if (event.key === " ") this.toggle();
    else return;
    event.preventDefault();
  }

  state() {
    const playing = !this.audio.paused && !this.audio.ended;
    this.classList.toggle("is-playing", playing);
    this.button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} the ${this.label}`);
    const follow = () => { this.draw(); if (!this.audio.paused) requestAnimationFrame(follow); };
    if (playing) requestAnimationFrame(follow);
    else this.draw();
  }

  draw() {
    const { seconds } = this;
    const at = this.audio.currentTime;
    this.played.style.setProperty("--played", `${seconds ? (at / seconds) * 100 : 0}%`);
    this.time.textContent = clock(at > 0 ? at : seconds);
    this.track.setAttribute("aria-valuemax", String(Math.round(seconds)));
    this.track.setAttribute("aria-valuenow", String(Math.round(at)));
    this.track.setAttribute("aria-valuetext", `${clock(at)} of ${clock(seconds)}`);
  }
}

customElements.define("vouch-player", Player);
