// What Gradio's own components leave out for keyboards and screen readers.
(() => {
  const mend = () => {
    for (const head of document.querySelectorAll(".label-wrap")) {  // accordions tell their state
      head.setAttribute("aria-expanded", String(head.classList.contains("open")));
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
  Object.assign(window.paddock ??= {}, {
    underWay(name) {  // the server sees with its next event what is not drawn yet
      const box = document.querySelector("#under-way textarea, #under-way input");
      if (!box) return;
      box.value = name;
      box.dispatchEvent(new Event("input", { bubbles: true }));
    },
    skip(event) {  // to the box of the open tab
      event.preventDefault();
      const boxes = [...document.querySelectorAll("#tabs textarea, #tabs input[type=text]")];
      boxes.find((box) => box.offsetParent && !box.disabled && !box.readOnly)?.focus();
    },
  });
})();
