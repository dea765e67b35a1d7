// Signs in by a passkey, and adds one. Without this script, or without passkeys in the browser, nothing of it is shown.
"use strict";

(() => {
  if (!window.PublicKeyCredential || !navigator.credentials || !window.fetch) return;

  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (each) => each.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  async function send(address, fields) {
    const response = await fetch(address, {
      method: "POST", body: new URLSearchParams(fields), credentials: "same-origin",
    });
    const told = await response.json();
    if (!response.ok) throw new Error(told.error);
    return told;
  }

  function answerOf(made, names) {
    const response = { clientDataJSON: text(made.response.clientDataJSON) };
    for (const name of names) if (made.response[name]) response[name] = text(made.response[name]);
    return JSON.stringify({
      id: made.id, rawId: text(made.rawId), type: made.type, response,
      clientExtensionResults: {}, authenticatorAttachment: made.authenticatorAttachment,
    });
  }

  async function signIn() {
    const { options, state } = await send("/sign-in/passkey/options", {});
    options.challenge = bytes(options.challenge);
    delete options.allowCredentials;
    const made = await navigator.credentials.get({ publicKey: options });
    const answer = answerOf(made, ["authenticatorData", "signature", "userHandle"]);
    return send("/sign-in/passkey", { state, answer });
  }

  async function register(region) {
    const token = { form_token: region.dataset.formToken };
    const name = region.querySelector("input").value;
    const { options, state } = await send("/me/passkeys/options", token);
    options.challenge = bytes(options.challenge);
    options.user.id = bytes(options.user.id);
    for (const each of options.excludeCredentials || []) each.id = bytes(each.id);
    const made = await navigator.credentials.create({ publicKey: options });
    const answer = answerOf(made, ["attestationObject"]);
    return send("/me/passkeys", { ...token, state, name, answer });
  }

  for (const region of document.querySelectorAll("[data-passkey]")) {
    const says = region.querySelector(".says");
    const button = region.querySelector("button");
    region.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      says.textContent = "Waiting for your passkey.";
      try {
        const told = await (region.dataset.passkey === "register" ? register(region) : signIn());
        window.location.assign(told.location);
      } catch (error) {
        says.textContent = error.name === "NotAllowedError" ? "No passkey was chosen." : error.message;
        button.disabled = false;
      }
    });
  }
})();
