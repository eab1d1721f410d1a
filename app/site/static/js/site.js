// Wakes up the parts of a page. Each is a custom element, so parts that htmx brings in later wake up too.
import "./player.js";
import "./dropzone.js";
import "./recorder.js";
import "./counter.js";
import "./countdown.js";
import "./forms.js";
