// What a visitor chose for the whole page, before it is drawn: theme and language. Gradio asks the browser for both.
(() => {
  const chosen = (name) => { try { return localStorage.getItem("paddock-" + name); } catch { return null; } };
  const choose = (name, value) => { try { localStorage.setItem("paddock-" + name, value); } catch { /* not kept */ } };
  const address = new URL(window.location);
  // A link may name a language; a chosen one goes into the address, where every event brings it to the server.
  const theme = chosen("theme"), wanted = address.searchParams.get("lang") || chosen("language");
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
    async copyLink(link) {
      const button = document.querySelector("#make-link"), box = document.querySelector("#link");
      const withTalk = document.querySelector("#link-talk"), zh = navigator.language.startsWith("zh");
      box.classList.add("shown");
      if (!link.startsWith("http")) return;
      const talked = [...document.querySelectorAll("#chatbot [data-testid=bot]")].some((answer) => answer.offsetParent);
      withTalk.classList.toggle("shown", talked && !withTalk.classList.contains("shown"));
      setTimeout(() => withTalk.classList.remove("shown"), 15000);
      try {
        await navigator.clipboard.writeText(link);
        box.classList.remove("shown");
        said(button, zh ? "已复制" : "Copied");
      } catch { box.querySelector("textarea")?.select(); }
    },
    openPicker() {
      const sidebar = document.querySelector("#sidebar");
      const bar = sidebar?.closest(".sidebar") || document.querySelector(".sidebar");
      if (bar && !bar.classList.contains("open")) bar.querySelector(".toggle-button")?.click();
      document.querySelector("#model input")?.focus();
    },
  };
})();
