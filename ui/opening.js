// What is pressed before the page has opened is asked as soon as it has: until then nobody has told the server what is
// picked. Also what a link asks to run.
(() => {
  const find = (selector) => document.querySelector(selector);
  const opened = () => find("#card .card, #card .error");
  // The button of each tab that asks the model, and what has to be on the page before it can.
  const ASKING = {
    chat: ["#message .submit-button"],
    complete: ["#continue"],
    compare: ["#compare-go", "#candidates .candidate"],
  };
  const ENTER = { chat: "#message", compare: "#compare-prompt" };  // a box of several lines takes Shift+Enter
  const OTHERS = "#chatbot .example, #chatbot .message-buttons button";

  async function until(ready, tenths = 100) {
    for (let tries = 0; tries < tenths && !ready(); tries += 1) await new Promise((wake) => setTimeout(wake, 100));
    return ready();
  }
  async function ask(tab) {
    const [button, ...needed] = ASKING[tab] || [];
    const ready = () => {
      const there = button && find(button);
      return opened() && there && !there.disabled && there.offsetParent && needed.every(find);
    };
    if (await until(ready)) find(button).click();
  }
  async function press(element) {
    if (await until(opened) && element.isConnected) element.click();
  }

  let held = false;
  function hold(event, go) {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (held) return;
    held = true;
    go().finally(() => { held = false; });
  }
  document.addEventListener("click", (event) => {
    if (opened()) return;
    const tab = Object.keys(ASKING).find((name) => event.target.closest?.(ASKING[name][0]));
    const other = event.target.closest?.(OTHERS);
    if (tab) hold(event, () => ask(tab));
    else if (other) hold(event, () => press(other));
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229 || opened()) return;
    const tab = Object.keys(ENTER).find((name) => event.target.closest?.(ENTER[name]));
    if (tab && event.shiftKey === (tab === "compare")) hold(event, () => ask(tab));
  }, true);

  // What a link asks to run runs once: not again when the page is loaded again.
  window.paddock.run = (tab) => {
    const here = new URL(window.location);
    if (!tab || !here.searchParams.has("run")) return;
    here.searchParams.delete("run");
    history.replaceState(null, "", here);
    ask(tab);
  };
})();
