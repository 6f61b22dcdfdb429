// What the page shows, ready to paste into a program: the server writes it as soon as one of the buttons is pressed.
(() => {
  const dialog = () => document.querySelector("#snippets");
  window.paddock.showSnippets = (html) => {
    const drawn = dialog().querySelector(".drawn");
    drawn.innerHTML = html;
    dialog().querySelector("#snippets-title").textContent = drawn.querySelector("h2")?.textContent || "";
    if (!dialog().open) dialog().showModal();
    dialog().scrollTop = 0;
  };
  async function copy(button) {
    const words = button.textContent, code = button.closest("section").querySelector("code");
    try { await navigator.clipboard.writeText(code.textContent); button.textContent = "✓"; } catch {
      window.getSelection().selectAllChildren(code);
    }
    setTimeout(() => { button.textContent = words; }, 2000);
  }
  document.addEventListener("click", (event) => {
    const opens = event.target.closest?.("[data-snippets]")?.dataset.snippets;
    if (opens) { document.querySelector(`#write-${opens}`)?.click(); return; }
    const pressed = event.target.closest?.("#snippets [data-do]"), what = pressed?.dataset.do;
    if (event.target === dialog() || what === "close") dialog().close();
    else if (what === "copy") copy(pressed);
  });
})();
