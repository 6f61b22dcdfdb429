// What Gradio's own components leave out for keyboards and screen readers.
(() => {
  const mend = () => {
    for (const head of document.querySelectorAll(".label-wrap")) {  // accordions tell their state
      head.setAttribute("aria-expanded", String(head.classList.contains("open")));
    }
    for (const title of document.querySelectorAll('#chatbot .thought-group [role="button"]')) {  // one button, not two
      for (const inner of title.querySelectorAll("button")) inner.inert = true;
      title.setAttribute("aria-expanded", String(Boolean(title.nextElementSibling)));
    }
    for (const list of document.querySelectorAll('.examples[role="list"]')) list.setAttribute("role", "group");
    for (const toggle of document.querySelectorAll(".sidebar .toggle-button")) {
      toggle.setAttribute("aria-expanded", String(toggle.closest(".sidebar").classList.contains("open")));
      toggle.setAttribute("aria-controls", "sidebar");
    }
  };
  let waiting = false;
  const soon = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => { waiting = false; mend(); }, 200);
  };
  new MutationObserver(soon).observe(document, { subtree: true, childList: true, attributeFilter: ["class"] });
  // A reload opens the tab that was pressed; what a link said for another one is kept there as a draft.
  document.addEventListener("click", ({ target }) => {
    const tab = target.closest?.("#tabs [role=tab]"), name = tab?.id.match(/^(\w+)-tab-button$/)?.[1];
    const address = new URL(window.location), first = tab && !tab.previousElementSibling;
    if (!name || name === (address.searchParams.get("tab") || (first ? name : ""))) return;
    for (const said of ["tab", "prompt", "prompt_z", "system", "system_z", "variants", "reference"]) address.searchParams.delete(said);
    if (!first) address.searchParams.set("tab", name);
    history.replaceState(null, "", address);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-open=access]")) window.paddock.openAccess();
    const use = event.target.closest?.("[data-use]")?.dataset.use, box = use && document.querySelector("#variant textarea, #variant input");
    if (!box) return;
    box.value = use;
    box.dispatchEvent(new Event("input", { bubbles: true }));
    setTimeout(() => box.dispatchEvent(new KeyboardEvent("keypress", { key: "Enter", bubbles: true })), 50);
  });
  Object.assign(window.paddock ??= {}, {
    underWay(name) {  // the server sees with its next event what is not drawn yet
      const box = document.querySelector("#under-way textarea, #under-way input");
      if (!box) return;
      box.value = name;
      box.dispatchEvent(new Event("input", { bubbles: true }));
    },
    openTab(name) {  // and what it asks for first
      if (window.innerWidth < 768) document.querySelector(".sidebar.open .toggle-button")?.click();
      document.querySelector(`#${name}-tab-button`)?.click();
      setTimeout(() => document.querySelector(`#${name}-prompt textarea`)?.focus(), 300);
    },
    openAccess() {  // to where visitors sign in
      const sidebar = document.querySelector("#sidebar, .sidebar");
      if (!sidebar?.classList.contains("open")) document.querySelector(".sidebar .toggle-button")?.click();
      const head = document.querySelector("#access > .label-wrap");
      if (head && !head.classList.contains("open")) head.click();
      setTimeout(() => document.querySelector("#own-token input, #own-token textarea, #login")?.focus(), 300);
    },
    skip(event) {  // to the box of the open tab
      event.preventDefault();
      const boxes = [...document.querySelectorAll("#tabs textarea, #tabs input[type=text]")];
      boxes.find((box) => box.offsetParent && !box.disabled && !box.readOnly)?.focus();
    },
  });
})();
