// Fetches the script of each part that is on the page, now and after htmx has brought in something new.
import "./forms.js";

const PARTS = ["player", "dropzone", "recorder", "counter", "countdown", "passkey", "hash"];
const wake = () => {
  for (const part of PARTS) if (document.querySelector(`vouch-${part}`)) import(`./${part}.js`);
};
wake();
document.addEventListener("htmx:after:swap", wake);
