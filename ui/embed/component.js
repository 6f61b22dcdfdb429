// <paddock-app src="ADDRESS?embed=1&...">: a frame in somebody's page, as light or dark as what is around it.
(() => {
  const server = document.currentScript.src, HEIGHTS = { 1: 600, answer: 420, compare: 720 };
  if (customElements.get("paddock-app")) return;

  function isDark(element) {
    for (let at = element; at; at = at.parentElement || at.getRootNode().host) {
      const [, r, g, b, alpha = 1] = getComputedStyle(at).backgroundColor.match(/^rgba?\(([\d.]+), ([\d.]+), ([\d.]+)(?:, ([\d.]+))?\)/) || [];
      if (r !== undefined && alpha > 0.5) return 0.2126 * r + 0.7152 * g + 0.0722 * b < 128;
    }
    const scheme = getComputedStyle(document.documentElement).colorScheme;
    return scheme.includes("dark") && (!scheme.includes("light") || matchMedia("(prefers-color-scheme: dark)").matches);
  }

  customElements.define("paddock-app", class extends HTMLElement {
    static observedAttributes = ["src", "theme", "height"];
    connectedCallback() {
      if (!this.shadowRoot) this.attachShadow({ mode: "open" }).append(document.createElement("iframe"));
      this.draw();
    }
    attributeChangedCallback() { if (this.shadowRoot) this.draw(); }
    draw() {
      const link = new URL(this.getAttribute("src") || "", server), frame = this.shadowRoot.firstChild, { searchParams } = link;
      if (!/^https?:$/.test(link.protocol)) return;
      if (!(searchParams.get("embed") in HEIGHTS)) searchParams.set("embed", "1");
      const theme = this.getAttribute("theme") || (isDark(this) ? "dark" : "light");
      if (!searchParams.has("theme")) searchParams.set("theme", theme);
      const height = Number(this.getAttribute("height")) || HEIGHTS[searchParams.get("embed")];
      Object.assign(frame, { title: "Paddock", loading: "lazy", allow: "clipboard-write" });
      frame.style.cssText = `display: block; width: 100%; height: ${height}px; border: 0`;
      if (frame.src !== String(link)) frame.src = link;
    }
  });
})();
