// Before the page is drawn: the theme and the language that a visitor chose, which Gradio asks the browser for, room for
// what comes a moment later, so that nothing jumps, and the name, which stands where the page will write it.
(() => {
  const embed = new URL(window.location).searchParams.get("embed"), FORMS = ["1", "answer", "compare"];
  if (FORMS.includes(embed)) document.documentElement.dataset.embed = embed;
  if (FORMS.includes(embed) && new URL(window.location).searchParams.get("lock") === "1") document.documentElement.dataset.lock = "1";
  // A frame of another page keeps nothing, and a browser may forbid to: then it is remembered until the page is left.
  const memory = (kept = new Map()) => ({
    getItem: (key) => kept.get(String(key)) ?? null,
    setItem: (key, text) => { kept.set(String(key), String(text)); },
    removeItem: (key) => { kept.delete(String(key)); },
    clear: () => kept.clear(),
    key: (at) => [...kept.keys()][at] ?? null,
    get length() { return kept.size; },
  });
  for (const place of ["localStorage", "sessionStorage"]) {
    let denied = FORMS.includes(embed);
    try { denied ||= !window[place]; } catch { denied = true; }
    if (denied) Object.defineProperty(window, place, { value: memory() });
  }
  const room = document.createElement("style");
  room.textContent = `
    .sidebar, .sidebar-parent, .toggle-button { transition: none !important; }
    @media (min-width: 769px) { .main > .wrap { padding-left: 378px !important; } }
    @media (max-width: 768px) { .sidebar { visibility: hidden; } }
    #chip { min-height: 40px; }
    #top { min-height: var(--top); align-content: start; }
    :has(> #tabs) { --top: 28px; }
    @media (max-width: 767px) { :has(> #tabs) { --top: 90px; } }
    :has(> #tabs):not(:has(> #top)) { padding-top: calc(var(--top) + 10px); }
    :not(:has(> #chip)) > #tabs { margin-top: 50px; }
    #embed-line, #share-line { display: none; }
    #early { position: fixed; left: 410px; top: 8px; font: 650 22.4px/26.88px system-ui, sans-serif;
      letter-spacing: -0.448px; color: #292524; }
    .dark #early { color: #f5f5f4; }
    @media (max-width: 767px) { #early { left: 32px; top: 14.5px; } }
    #hardware, #model { min-height: 66px; }
    #quantizations { min-height: 577px; }
    #card { min-height: 222px; }
    #chat-lines:first-child, #history-line:first-child + #chat-lines { margin-top: calc(100dvh - 22rem + 10px); }
    @media (max-width: 767px) { #chat-lines:first-child, #history-line:first-child + #chat-lines { margin-top: calc(100dvh - 25rem + 10px); } }`;
  if (!FORMS.includes(embed)) document.head.append(room);
  const early = document.createElement("div");
  early.id = "early"; early.textContent = "Paddock"; early.ariaHidden = "true";
  const drawn = new MutationObserver(() => {
    if (document.querySelector("#brand")) early.remove();
    else if (document.body && !early.isConnected && !document.documentElement.dataset.embed) document.body.append(early);
    if (document.querySelector("#card .card, #card .error")) opened();
  });
  const opened = () => { drawn.disconnect(); early.remove(); setTimeout(() => room.remove(), 300); };
  drawn.observe(document, { subtree: true, childList: true });
  setTimeout(opened, 10000);  // whatever went wrong
  const chosen = (name) => { try { return localStorage.getItem("paddock-" + name); } catch { return null; } };
  const choose = (name, value) => { try { localStorage.setItem("paddock-" + name, value); } catch { /* not kept */ } };
  const address = new URL(window.location);
  // A link may name a language; a chosen one goes into the address, where every event brings it to the server.
  const linked = address.searchParams.get("theme");
  const theme = /^(light|dark)$/.test(linked) ? linked : chosen("theme"), wanted = address.searchParams.get("lang") || chosen("language");
  const language = /^zh\b/i.test(wanted) ? "zh-CN" : wanted;  // Gradio knows no Chinese without its region
  if (theme) {
    const real = window.matchMedia.bind(window);
    window.matchMedia = (query) => {
      const found = real(query);
      if (!query.includes("prefers-color-scheme")) return found;
      return { media: query, matches: query.includes(theme), addEventListener() {}, removeEventListener() {},
        addListener() {}, removeListener() {}, onchange: null, dispatchEvent: () => false };
    };
  }
  if (language) {
    Object.defineProperty(navigator, "language", { get: () => language });
    Object.defineProperty(navigator, "languages", { get: () => [language] });
    if (!address.searchParams.has("lang")) {
      address.searchParams.set("lang", language); history.replaceState(null, "", address);
    }
  }
  document.documentElement.lang = navigator.language;
  const said = (button, words) => {
    const before = button.textContent;
    button.textContent = words;
    setTimeout(() => { button.textContent = before; }, 2000);
  };
  window.paddock = {
    switchTheme() {
      const dark = document.body.classList.toggle("dark");
      choose("theme", dark ? "dark" : "light");
    },
    switchLanguage() {
      const other = navigator.language.startsWith("zh") ? "en" : "zh-CN", there = new URL(window.location);
      choose("language", other);
      there.searchParams.set("lang", other);
      window.location.replace(there);
    },
    // A link that could be written is copied; where the browser forbids that, its box is shown to copy it by hand.
    async copyLink(link, failed = "") {
      const button = document.querySelector("#make-link"), box = document.querySelector("#link");
      const withTalk = document.querySelector("#link-talk"), zh = navigator.language.startsWith("zh");
      box.classList.add("shown");
      const share = document.querySelector("#share-line"), file = document.querySelector("#link-file");
      if (file) file.hidden = failed !== "too_long_for_link" || !window.paddock.fileInstead();
      if (failed) {
        share?.classList.toggle("shown", Boolean(file && !file.hidden));
        share?.classList.add("no-link");
        if (failed === "too_long_for_link") said(button, zh ? "太长" : "Too long");
        return;
      }
      share?.classList.add("shown");
      share?.classList.remove("no-link");
      const whole = new URL(link);
      if (theme) whole.searchParams.set("theme", document.body.classList.contains("dark") ? "dark" : "light");
      if (language) whole.searchParams.set("lang", language);
      link = String(whole);
      const talked = [...document.querySelectorAll("#chatbot [data-testid=bot]")].some((answer) => answer.offsetParent);
      withTalk.classList.toggle("shown", talked && !withTalk.classList.contains("shown"));
      setTimeout(() => withTalk.classList.remove("shown"), 15000);
      try {
        await navigator.clipboard.writeText(link);
        box.classList.remove("shown");
        said(button, zh ? "已复制" : "Copied");
      } catch { box.querySelector("textarea")?.select(); }
    },
    // What the open tab can be saved as where it is too long for a link: a comparison, or the conversation.
    fileInstead() {
      const seen = (selector) => [...document.querySelectorAll(selector)].find((one) => one.offsetParent && !one.disabled);
      if (seen("#compare-json")) return () => seen("#compare-json").click();
      return seen("#chatbot [data-testid=bot]") && window.paddock.saveConversation;
    },
    save(text, type, name) {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([text], { type }));
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    },
    openPicker() {
      const sidebar = document.querySelector("#sidebar");
      const bar = sidebar?.closest(".sidebar") || document.querySelector(".sidebar");
      if (bar && !bar.classList.contains("open")) bar.querySelector(".toggle-button")?.click();
      document.querySelector("#model input")?.focus();
    },
  };
})();
