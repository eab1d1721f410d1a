// <vouch-dropzone>: drop files on the file input, see what is chosen, listen, take one out again.
// The input stays the only thing that is sent, so a form works the same with and without this file.
import "./player.js";
import { clock, peaksOf, wavePath } from "./waveform.js";

const BARS = 120;

/** Puts these files into a file input and tells everyone who listens. */
export function setFiles(input, files) {
  const transfer = new DataTransfer();
  files.forEach((file) => transfer.items.add(file));
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

class Dropzone extends HTMLElement {
  connectedCallback() {
    if (this.input) return;
    this.input = this.querySelector("input[type=file]");
    this.list = this.querySelector("[data-takes]");
    this.sum = this.querySelector("[data-sum]");
    this.least = Number(this.dataset.least) || 0;
    this.most = Number(this.dataset.most) || Infinity;
    this.known = new Map();
    this.classList.add("is-awake");
    this.querySelector("[data-drop-words]").hidden = false;
    this.input.addEventListener("change", () => this.show());
    this.addEventListener("dragover", (event) => { event.preventDefault(); this.classList.add("is-over"); });
    this.addEventListener("dragleave", (event) => { if (!this.contains(event.relatedTarget)) this.classList.remove("is-over"); });
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      this.classList.remove("is-over");
      const dropped = [...event.dataTransfer.files];
      if (dropped.length) setFiles(this.input, this.input.multiple ? [...this.input.files, ...dropped] : dropped.slice(0, 1));
    });
  }

  show() {
    const files = [...this.input.files];
    for (const [file, take] of this.known) {
      if (files.includes(file)) continue;
      URL.revokeObjectURL(take.url);
      this.known.delete(file);
    }
    for (const file of files) if (!this.known.has(file)) this.known.set(file, this.read(file));
    this.list.replaceChildren(...files.map((file) => this.known.get(file).item));
    this.list.hidden = files.length === 0;
    this.total();
  }

  read(file) {
    const take = { url: URL.createObjectURL(file), seconds: null, item: document.createElement("li") };
    take.item.className = "take";
    const name = document.createElement("span");
    name.className = "take-name";
    const size = document.createElement("small");
    size.textContent = file.size < 1e6 ? `${Math.round(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
    name.append(file.name, size);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "link";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${file.name}`);
    remove.addEventListener("click", () => {
      setFiles(this.input, [...this.input.files].filter((other) => other !== file));
      this.input.focus();
    });
    take.item.append(name, remove);
    peaksOf(file, BARS).then(({ seconds, peaks }) => {
      if (seconds === null) return;
      take.seconds = seconds;
      take.item.append(this.player(take, file.name, peaks));
      this.total();
    });
    return take;
  }

  player(take, label, peaks) {
    const template = this.querySelector("template[data-player]");
    const player = document.importNode(template.content, true).firstElementChild;
    player.removeAttribute("id");
    player.dataset.label = label;
    player.dataset.seconds = take.seconds;
    player.querySelector("audio").src = take.url;
    player.querySelector("path").setAttribute("d", wavePath(peaks, BARS));
    return player;
  }

  total() {
    const takes = [...this.known.values()];
    const known = takes.filter((take) => take.seconds !== null);
    const seconds = known.reduce((sum, take) => sum + take.seconds, 0);
    this.sum.className = "takes-sum";
    if (!takes.length || known.length < takes.length || !this.least) { this.sum.textContent = ""; return; }
    const short = seconds < this.least;
    const long = seconds > this.most;
    this.sum.classList.add(short || long ? "is-bad" : "is-good");
    this.sum.textContent = short
      ? `${clock(seconds)} so far. At least ${clock(this.least)} of speech is needed.`
      : long ? `${clock(seconds)} in total. At most ${clock(this.most)} can be used; please take something out.`
        : `${clock(seconds)} in total. That is enough.`;
  }
}

customElements.define("vouch-dropzone", Dropzone);
