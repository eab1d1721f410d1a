// Makes or uses a passkey: asks the server for a challenge, the device for an answer, and sends that as a form.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const known = (list) => list?.map((each) => ({ ...each, id: bytes(each.id) }));

// Browsers keep no passkeys for addresses of digits, nor without TLS (but for localhost).
const possible = () => window.isSecureContext && window.PublicKeyCredential && !/^[\d.]+$|:/.test(location.hostname);

const create = async (options) => {
  const made = await navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: known(options.excludeCredentials),
  } });
  const { clientDataJSON, attestationObject } = made.response;
  return { made, response: { clientDataJSON: text(clientDataJSON), attestationObject: text(attestationObject) } };
};

const get = async (options) => {
  const made = await navigator.credentials.get({ publicKey: {
    ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials),
  } });
  const { clientDataJSON, authenticatorData, signature, userHandle } = made.response;
  return { made, response: {
    clientDataJSON: text(clientDataJSON), authenticatorData: text(authenticatorData), signature: text(signature),
    ...(userHandle && { userHandle: text(userHandle) }),
  } };
};

customElements.define("vouch-passkey", class extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.said = this.querySelector("[data-said]");
    if (!possible()) return;
    for (const part of this.querySelectorAll("[data-with]")) part.hidden = false;
    for (const part of this.querySelectorAll("[data-without]")) part.hidden = true;
    this.form.addEventListener("submit", (event) => {
      if (this.form.elements.answer.value) return;
      event.preventDefault();
      this.ask();
    });
  }

  async ask() {
    const button = this.form.querySelector("button");
    button.disabled = true;
    this.said.hidden = true;
    try {
      const answer = await fetch(this.dataset.options, { method: "POST" });
      if ([401, 403].includes(answer.status)) { location.reload(); return; } // to sign in, or to confirm, first
      if (!answer.ok) throw new Error(answer.status);
      const { made, response } = await (this.dataset.does === "create" ? create : get)(await answer.json());
      this.form.elements.answer.value = JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
      this.form.submit();
    } catch (error) {
      const again = error.name === "InvalidStateError";
      this.said.textContent = again ? this.dataset.again : this.dataset.failed;
      this.said.hidden = false;
    } finally {
      button.disabled = false;
    }
  }
});
