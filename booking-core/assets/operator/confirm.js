// Asks before something is done that customers feel; what can't be undone has to be typed.

import { h } from "./dom.js";

/** Answers the note that was written (maybe empty), or null when it is not to be done. */
export function confirm({ title, text, yes, typed = null, danger = false }) {
  return new Promise((resolve) => {
    const note = h("input", { id: "confirm-note", maxlength: 100, autocomplete: "off" });
    const word = typed && h("input", { id: "confirm-typed", autocomplete: "off", required: true });
    const button = h("button", { class: `button ${danger ? "danger" : "primary"}`, id: "confirm-yes", type: "submit", disabled: Boolean(typed), text: yes });
    word?.addEventListener("input", () => (button.disabled = word.value.trim() !== typed));
    let answer = null;
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "confirm-title" },
      h(
        "form",
        {
          method: "dialog",
          onsubmit: (event) => {
            event.preventDefault();
            if (button.disabled) return;
            answer = note.value.trim();
            dialog.close();
          },
        },
        h("h2", { id: "confirm-title", text: title }),
        h("p", { text }),
        typed && h("label", {}, h("span", {}, "Type ", h("strong", { text: typed }), " to confirm"), word),
        h("label", {}, h("span", { text: "Note for the log (optional)" }), note),
        h("div", { class: "actions" }, button, h("button", { class: "button", type: "button", onclick: () => dialog.close(), text: "Don't" })),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    (word ?? note).focus();
  });
}
