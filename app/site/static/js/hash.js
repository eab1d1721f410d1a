// <vouch-hash>: computes the SHA-256 of a chosen file in the browser, so that only the hash is sent.
// Without this file, or where the browser offers no hashing (plain HTTP), the file itself is sent and compared.
class FileHash extends HTMLElement {
  connectedCallback() {
    if (this.input || !globalThis.crypto?.subtle) return;
    this.input = this.querySelector("input[type=file]");
    this.hash = this.querySelector("input[type=hidden]");
    this.words = this.querySelector("[data-words]");
    this.words.textContent = this.words.dataset.words;
    this.input.addEventListener("change", () => this.take());
    this.take();
  }

  async take() {
    const file = this.input.files[0];
    this.hash.value = "";
    this.input.removeAttribute("name");
    if (!file) return;
    this.input.setCustomValidity("The file is still being read.");
    try {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
      if (this.input.files[0] !== file) return;
      this.hash.value = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    } catch {
      this.input.name = "file"; // too large for the browser's memory: let the server see to it
    }
    this.input.setCustomValidity("");
  }
}

customElements.define("vouch-hash", FileHash);
