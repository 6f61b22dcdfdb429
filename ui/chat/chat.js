// Keys, names and switches that the Chatbot and its box do not have: Enter sends an edited question, Escape stops,
// what is typed while an answer streams stays and it is said why, and each question can show its other versions.
(() => {
  const find = (selector, within = document) => within.querySelector(selector);
  const seen = (element) => element && element.checkVisibility();
  const stopButton = () => [find("#message .stop-button"), find("#complete-stop:not([disabled])")].find(seen);
  const words = () => find("#chat-notice .words")?.dataset || {};
  const typing = (event) => event.isComposing || event.keyCode === 229;  // Enter ends a word of Chinese first
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const focusBox = () => {  // never out of the page around a frame
    const box = find("#message textarea");
    if (!touch && seen(box) && document.hasFocus()) box.focus({ preventScroll: true });
  };

  // The style counts seconds with it; Gradio takes no @property from a style sheet.
  CSS.registerProperty?.({ name: "--elapsed", syntax: "<integer>", inherits: false, initialValue: "0" });

  function sayBusy() {
    const line = find("#chat-busy");
    line.textContent = words().busy || "";
    clearTimeout(line.timer);
    line.timer = setTimeout(() => { line.textContent = ""; }, 6000);
  }
  function submitEdit(area, label) {
    const row = area.closest(".message-row"), buttons = row?.nextElementSibling?.querySelectorAll("button") || [];
    buttons[label]?.click();
  }
  const SUBMIT = 0, CANCEL = 1;

  document.addEventListener("keydown", (event) => {
    const { key, target } = event, editor = target.closest?.("#chatbot .edit-textarea");
    if (typing(event)) return;
    if (key === "Enter" && !event.shiftKey && editor) {
      event.preventDefault();
      submitEdit(editor, SUBMIT);
    } else if (key === "Enter" && !event.shiftKey && target.closest?.("#message") && find("#message .stop-button")) {
      event.preventDefault(); event.stopPropagation();
      sayBusy();
    } else if (key === "Escape" && editor) {
      submitEdit(editor, CANCEL);
      focusBox();
    } else if (key === "Escape" && !event.defaultPrevented && !target.closest?.("[role=listbox], input[role=combobox]")) {
      stopButton()?.click();
    }
  }, true);

  document.addEventListener("click", ({ target }) => {
    const press = target.closest?.("#chatbot .versions button")?.dataset.press;
    if (press) find(`#chat-notice .switches [data-press="${press}"]`)?.click();
    if (target.closest?.("#message .submit-button, #message .stop-button")) focusBox();
  });

  function nameButtons() {
    for (const [selector, name] of [["#message .submit-button", words().send], ["#message .stop-button", words().stop]]) {
      const button = find(selector);
      if (button && name && button.getAttribute("aria-label") !== name) button.setAttribute("aria-label", name);
    }
    if (find("#message .submit-button")) { const line = find("#chat-busy"); if (line?.textContent) line.textContent = ""; }
  }
  function placeSwitches() {
    document.querySelectorAll("#chatbot .message-row.user-row").forEach((row, at) => {
      const wanted = find(`#chat-notice .switches [data-row="${at}"]`), buttons = row.nextElementSibling;
      const there = buttons && find(".versions", buttons);
      if (!buttons?.matches(".message-buttons") || there?.outerHTML === wanted?.outerHTML) return;
      const focused = there?.contains(document.activeElement) && [...there.querySelectorAll("button")].indexOf(document.activeElement);
      there?.remove();
      if (!wanted) return;
      buttons.prepend(wanted.cloneNode(true));
      if (focused > -1) buttons.querySelectorAll(".versions button")[focused]?.focus();
    });
  }
  let streams = false, due = false;
  function follow() {
    due = false;
    nameButtons();
    placeSwitches();
    const now = Boolean(find("#message .stop-button"));
    if (streams !== now && document.activeElement === document.body) focusBox();
    streams = now;
  }
  new MutationObserver((records) => {
    const ours = records.some(({ target }) => (target.parentElement || target).closest?.("#chatbot, #chat-notice, #message"));
    if (!due && (ours || !streams)) { due = true; requestAnimationFrame(follow); }
  }).observe(document, { subtree: true, childList: true });
})();
