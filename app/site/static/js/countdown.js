// <vouch-countdown>: turns "good until 14:32" into the minutes that are left. Says so aloud only when it gets short.
import { clock } from "./waveform.js";

class Countdown extends HTMLElement {
  connectedCallback() {
    this.until = Date.parse(this.dataset.until);
    this.words = this.querySelector("[data-words]");
    this.timer = setInterval(() => this.tick(), 1000);
    this.tick();
  }

  disconnectedCallback() { clearInterval(this.timer); }

  tick() {
    const left = (this.until - Date.now()) / 1000;
    this.classList.toggle("is-short", left < 60);
    if (left <= 60 && !this.hasAttribute("role")) this.setAttribute("role", "status");
    if (left > 60) this.words.textContent = `${clock(left)} left`;
    else if (left > 0) this.words.textContent = "less than a minute left";
    else {
      this.words.textContent = "run out: get a new sentence below";
      clearInterval(this.timer);
    }
  }
}

customElements.define("vouch-countdown", Countdown);
