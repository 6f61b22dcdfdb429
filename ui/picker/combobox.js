// Drives what combobox.py draws. The box is drawn anew after each pick, so everything is listened for on the element.
window.paddock.drivePicker = (element, trigger) => {
  const box = () => element.querySelector("input"), list = () => element.querySelector(".popup");
  const filters = () => [...element.querySelectorAll("[data-filter]")];
  const options = () => [...element.querySelectorAll("[role=option]")];
  const active = () => element.querySelector("[role=option].active");
  const chosen = {};  // by filter: what is wanted of an option, kept when the box is drawn anew
  let drawn = box(), picking = false, fresh = false;  // `fresh`: what stands in the box was picked, and typing begins anew

  function freeLine() { return element.querySelector(".free"); }
  function filter(control, value) {
    chosen[control.dataset.filter] = value;
    show(control);
    search(fresh ? "" : box().value);
  }
  function show(control) {
    const value = chosen[control.dataset.filter] ?? "";
    if (control.tagName === "SELECT") control.value = value;
    else control.setAttribute("aria-pressed", String(!!value));
    control.classList.toggle("on", !!value);
  }
  function mark(option) {
    options().forEach((other) => other.classList.toggle("active", other === option));
    if (option) box().setAttribute("aria-activedescendant", option.id);
    else box().removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }
  function open() {
    if (list().hidden) {  // as it was drawn last, perhaps: without what filters hide
      filters().forEach(show);
      search(fresh ? "" : box().value);
    }
    list().hidden = false;
    box().setAttribute("aria-expanded", "true");
  }
  function close() {
    if (!box() || list().hidden) return;
    list().hidden = true;
    box().setAttribute("aria-expanded", "false");
    box().value = box().dataset.shown;
    fresh = true;
    search("");
  }
  // Each word that was typed has to stand somewhere in the line, and each filter has to let it through.
  function search(typed) {
    const wanted = Object.entries(chosen).filter(([, value]) => value), total = options().length - (freeLine() ? 1 : 0);
    const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
    for (const option of options()) {
      const text = `${option.textContent} ${option.dataset.value}`.toLowerCase();
      const through = wanted.every(([name, value]) => option.dataset[name] === value);
      option.hidden = option === freeLine() || !through || !words.every((word) => text.includes(word));
    }
    const count = options().filter((option) => !option.hidden).length, root = element.querySelector(".combobox");
    const free = freeLine(), none = element.querySelector(".empty"), left = element.querySelector(".filters output");
    const fitting = free && new RegExp(`^(?:${root.dataset.free})$`, "i").exec(typed.trim());
    if (fitting) {
      free.dataset.value = fitting[1] ?? fitting[0];
      free.textContent = root.dataset.freeLine.replace("{}", free.dataset.value);
      free.hidden = false;
    }
    for (const group of element.querySelectorAll(".group")) {
      let next = group.nextElementSibling;
      while (next?.hidden && next.matches("[role=option]")) next = next.nextElementSibling;
      group.hidden = words.length > 0 || !next?.matches("[role=option]:not(.free)");
    }
    if (none) none.hidden = count > 0 || !!fitting;
    if (left) left.textContent = wanted.length ? `${count} / ${total}` : total;
    const found = options().filter((option) => !option.hidden);
    const isExact = (option) => option.dataset.value.toLowerCase() === typed.trim().toLowerCase();
    const exact = found.find((option) => isExact(option) && !option.classList.contains("free"));
    const selected = found.find((option) => option.getAttribute("aria-selected") === "true");
    const meant = fitting?.[1] && fitting[1] !== fitting[0] ? free : exact ?? found[0];  // a number with its unit
    mark(words.length ? meant : selected ?? found[0]);
  }
  function pick(option) {
    if (!option) return;
    picking = true;
    box().value = box().dataset.shown = option.querySelector("span")?.textContent ?? option.textContent;
    setTimeout(() => { picking = false; }, 3000);  // it is not drawn anew where nothing changed
    close();
    window.paddock.underWay(option.textContent);
    trigger("click", { pressed: option.dataset.value });
  }
  function step(by) {
    const found = options().filter((option) => !option.hidden);
    if (list().hidden) return open();
    const place = found.indexOf(active());
    mark(found[Math.max(0, Math.min(found.length - 1, place + by))]);
  }

  element.addEventListener("focusin", (event) => {
    if (event.target !== box()) return;
    fresh = true;
    search("");
    box().select();
  });
  element.addEventListener("beforeinput", () => {
    if (fresh) box().value = "";
    fresh = false;
  });
  element.addEventListener("focusout", (event) => { if (!element.contains(event.relatedTarget)) close(); });
  element.addEventListener("mousedown", (event) => {
    if (event.target.closest(".popup") && !event.target.closest("select")) event.preventDefault();  // the box keeps the focus
    else if (event.target === box()) { if (list().hidden) open(); else if (document.activeElement === box()) close(); }
  });
  element.addEventListener("click", (event) => {
    if (event.target === box() && fresh) box().select();
    const button = event.target.closest("button[data-filter]");
    if (button) filter(button, chosen[button.dataset.filter] ? "" : "yes");
    pick(event.target.closest("[role=option]"));
  });
  element.addEventListener("input", (event) => {
    if (event.target !== box()) return event.target.dataset.filter && filter(event.target, event.target.value);
    open();
    search(box().value);
  });
  element.addEventListener("keydown", (event) => {
    if (event.target !== box() && event.key !== "Escape") return;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) step(steps[event.key]);
    else if (event.key === "Enter") { if (list().hidden) open(); else pick(active()); }
    else if (event.key === "Tab") return close();
    else if (event.key === "Escape" && !list().hidden) { close(); box().focus(); box().select(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  new MutationObserver(() => {  // drawn anew: the keyboard goes on from where it was
    if (!box() || box() === drawn) return;
    drawn = box();
    if (picking && document.activeElement === document.body) box().focus();
    picking = false;
  }).observe(element, { childList: true, subtree: true });
};
