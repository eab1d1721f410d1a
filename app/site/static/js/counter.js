// <vouch-counter>: counts the characters of its textarea as the server does (code points), against data-most and data-left.

class Counter extends HTMLElement {
  connectedCallback() {
    this.area = this.querySelector("textarea");
    this.words = this.querySelector("[data-count]");
    this.area.addEventListener("input", () => this.count());
    this.count();
  }

  count() {
    const used = [...this.area.value].length;
    const most = Number(this.dataset.most);
    const left = this.dataset.left === undefined ? null : Number(this.dataset.left);
    const over = used - Math.min(most, left ?? most);
    this.words.classList.toggle("error", over > 0);
    const number = (value) => value.toLocaleString("en");
    this.words.textContent = over > 0
      ? `${number(over)} too many: ${used > most ? `${number(most)} fit in one clip` : `${number(left)} are left this month`}.`
      : `${number(used)} of ${number(most)} characters${left === null ? "" : `; ${number(left)} left this month`}.`;
  }
}

customElements.define("vouch-counter", Counter);
