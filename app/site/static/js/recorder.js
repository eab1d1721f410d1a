// <vouch-recorder>: records from the microphone into the file input named by data-input, so that the form is sent as
// if a file had been chosen. Shows the level, a waveform as it grows, and how much is still needed.
import { setFiles } from "./dropzone.js";
import { clock, wavePath } from "./waveform.js";

const BARS = 120;
const TICK = 50; // milliseconds between two readings of the level
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const NO_MICROPHONE = {
  NotAllowedError: "The browser was not allowed to use the microphone. You can allow it beside the address, or choose a file.",
  NotFoundError: "No microphone was found. Plug one in, or choose a file.",
  NotReadableError: "Another program holds the microphone. Close it, or choose a file.",
};

class Recorder extends HTMLElement {
  connectedCallback() {
    if (this.input) return;
    const part = (name) => this.querySelector(`[data-${name}]`);
    this.input = document.getElementById(this.dataset.input);
    this.least = Number(this.dataset.least) || 0;
    this.most = Number(this.dataset.most);
    this.parts = { record: part("record"), words: part("record-words"), stop: part("stop"), clock: part("clock"), live: part("live"), level: part("level"), hint: part("hint"), script: part("script") };
    this.path = this.parts.live.querySelector("path");
    this.hidden = false;
    if (!navigator.mediaDevices || !window.MediaRecorder) {
      this.parts.record.hidden = true;
      this.say("To record here, open this page over https. Choosing a file works either way.");
      return;
    }
    this.parts.record.addEventListener("click", () => this.start());
    this.parts.stop.addEventListener("click", () => this.end());
  }

  disconnectedCallback() { this.release(); }

  say(words) { if (this.parts.hint.textContent !== words) this.parts.hint.textContent = words; }

  async start() {
    this.parts.record.disabled = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: true },
      });
    } catch (error) {
      this.say(NO_MICROPHONE[error.name] ?? "The microphone could not be opened. Choose a file instead.");
      return;
    } finally {
      this.parts.record.disabled = false;
    }
    const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
    this.recorder = new MediaRecorder(this.stream, { mimeType, audioBitsPerSecond: 128000 });
    this.chunks = [];
    this.peaks = [];
    this.quiet = this.loud = 0;
    this.recorder.addEventListener("dataavailable", (event) => this.chunks.push(event.data));
    this.recorder.addEventListener("stop", () => this.finish());
    this.listen();
    this.recorder.start(1000);
    this.began = performance.now();
    this.timer = setInterval(() => this.tick(), TICK);
    this.recording(true);
    this.say("Recording. Speak as you would to a friend across a table.");
  }

  listen() {
    this.context = new AudioContext();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 2048;
    this.context.createMediaStreamSource(this.stream).connect(this.analyser);
    this.samples = new Float32Array(this.analyser.fftSize);
  }

  tick() {
    this.analyser.getFloatTimeDomainData(this.samples);
    const peak = this.samples.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
    this.peaks.push(peak);
    const level = Math.min(1, Math.max(0, 1 + Math.log10(Math.max(peak, 1e-4)) / 2)); // -40 dB..0 dB
    this.parts.level.value = level;
    this.path.setAttribute("d", wavePath([...new Array(Math.max(0, BARS - this.peaks.length)).fill(0), ...this.peaks.slice(-BARS)], BARS));
    this.advise(peak);
    const seconds = (performance.now() - this.began) / 1000;
    const left = this.least - seconds;
    this.parts.clock.textContent = left > 0 ? `${clock(left)} still needed` : `${clock(seconds)}, stops by itself at ${clock(this.most)}`;
    if (seconds >= this.most) this.end();
  }

  advise(peak) {
    this.quiet = peak < 0.03 ? this.quiet + 1 : 0;
    this.loud = peak > 0.98 ? this.loud + 4 : Math.max(0, this.loud - 1);
    if (this.loud > 8) this.say("That is too loud for the microphone. Move back a little.");
    else if (this.quiet > 3000 / TICK) this.say("It is very quiet. Come closer, or check that the right microphone is chosen.");
    else if (this.quiet === 0 && this.loud === 0) this.say("Recording.");
  }

  end() {
    clearInterval(this.timer);
    if (this.recorder.state !== "inactive") this.recorder.stop();
  }

  finish() {
    const type = this.recorder.mimeType;
    const ending = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
    const take = new File(this.chunks, `${this.dataset.name}-recording.${ending}`, { type: type.split(";")[0] });
    const others = this.input.multiple ? [...this.input.files].filter((file) => file !== this.take) : [];
    this.release();
    this.recording(false);
    this.take = take;
    setFiles(this.input, [...others, take]);
    this.parts.words.textContent = "Record again";
    this.say("Recorded. Listen to it below, then send it or record again.");
  }

  recording(on) {
    const { record, stop, clock: time, live, script } = this.parts;
    const hadFocus = this.contains(document.activeElement);
    record.hidden = on;
    for (const each of [stop, time, live]) each.hidden = !on;
    this.classList.toggle("is-recording", on);
    if (script) script.open = on;
    if (hadFocus) (on ? stop : record).focus();
  }

  release() {
    clearInterval(this.timer);
    this.stream?.getTracks().forEach((track) => track.stop());
    if (this.context?.state !== "closed") this.context?.close();
  }
}

customElements.define("vouch-recorder", Recorder);
