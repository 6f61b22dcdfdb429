// What a tab of the browser keeps: its conversation, the moment that it changes, and what is typed but not sent.
// Each tab has a conversation of its own. The next tab goes on with the last one, if no open tab has it. A private tab
// keeps nothing.
(() => {
  const CONVERSATION = "paddock-conversation-", MINE = "paddock-conversation", LAST = "paddock-last", RAW = "paddock-raw";
  const DRAFTS = "paddock-drafts", NAMES = "paddock-names", PRIVATE = "paddock-private", WRITE_MS = 500;
  const TAB = "sessionStorage", BROWSER = "localStorage";  // by name: even to look at one may be forbidden
  const from = (place, key) => { try { return window[place].getItem(key); } catch { return null; } };
  const into = (place, key, text) => { try { window[place].setItem(key, text); return true; } catch { return false; } };
  const forget = (key, place = BROWSER) => { try { window[place].removeItem(key); } catch { /* nothing is kept */ } };
  const parsed = (text) => { try { return JSON.parse(text); } catch { return null; } };
  const stored = (id) => parsed(from(BROWSER, CONVERSATION + id));
  const isPrivate = () => from(TAB, PRIVATE) === "yes";
  let mine = null, waiting = null, timer = null, chosen = null, letGo = () => {};

  // A lock lasts as long as its tab, so it tells whether another one has a conversation open. Plain HTTP has no locks.
  const claimed = (id) => new Promise((tell) => {
    if (!navigator.locks) return tell(id === from(TAB, MINE));
    navigator.locks.request(CONVERSATION + id, { ifAvailable: true }, (lock) => {
      tell(lock !== null);
      return lock && new Promise((end) => { letGo(); letGo = end; });  // a tab has one at a time
    });
  });
  async function claimedSoon(id) {  // a page that reloads may still hold its own for a moment
    for (let tries = 0; tries < 5; tries += 1) {
      if (await claimed(id)) return true;
      await new Promise((wake) => setTimeout(wake, 60));
    }
    return false;
  }
  async function openConversation() {
    if (isPrivate()) return null;
    const own = from(TAB, MINE), last = from(BROWSER, LAST);
    if (!own && new URL(window.location).searchParams.has("conversation")) return null;  // the link brings another
    const id = own || last, conversation = id && stored(id);
    if (!conversation) return null;
    if (own ? await claimedSoon(own) : await claimed(last)) { mine = id; into(TAB, MINE, id); return conversation; }
    return own || !navigator.locks ? { ...conversation, id: "", before: null } : null;  // a doubled tab has a copy
  }
  function write() {
    clearTimeout(timer); timer = null;
    if (!waiting) return;
    const { id, turns, before } = waiting;
    const text = JSON.stringify({ ...waiting, before: turns.length ? null : before, saved: Date.now() });
    waiting = null;
    if (!turns.length && !before) return;
    const full = !into(BROWSER, CONVERSATION + id, text), line = document.querySelector("#storage-full");
    if (line) line.hidden = !full;
    into(BROWSER, LAST, id);
  }
  window.addEventListener("pagehide", write);
  document.documentElement.classList.toggle("keeps-nothing", isPrivate());
  const names = () => parsed(from(BROWSER, NAMES)) || {};
  const ids = () => {
    const keys = Array.from({ length: localStorage.length }, (_, at) => localStorage.key(at));
    return keys.filter((key) => key.startsWith(CONVERSATION)).map((key) => key.slice(CONVERSATION.length));
  };

  let drafts = null;  // null until those of the last page were put back
  // What a link says is what it says until somebody writes something else.
  const PARAMETERS = { "#message, #text, #compare-prompt": "prompt", "#system, #compare-system": "system" };
  document.addEventListener("input", ({ target }) => {
    const boxes = Object.keys(PARAMETERS).find((boxes) => target.closest?.(boxes)), address = new URL(window.location);
    for (const name of boxes ? [PARAMETERS[boxes], PARAMETERS[boxes] + "_z"] : []) address.searchParams.delete(name);
    if (boxes) history.replaceState(null, "", address);
  });
  const forgetPrompt = () => {  // one that was sent does not come back into the box
    const address = new URL(window.location);
    if (!["prompt", "prompt_z"].some((name) => address.searchParams.has(name))) return;
    for (const name of ["prompt", "prompt_z"]) address.searchParams.delete(name);
    history.replaceState(null, "", address);
  };
  document.addEventListener("click", ({ target }) => {
    if (target.closest?.("#message .submit-button, #continue")) forgetPrompt();
  });
  document.addEventListener("keydown", ({ key, target }) => {
    if (key === "Enter" && target.closest?.("#message")) forgetPrompt();
  });
  const TABS = { complete: "complete", workshop: "workshop", compare: "compare", measure: "compare" };  // what a link opens; else the chat

  Object.assign(window.paddock, {
    conversations: {
      get mine() { return mine; },
      get private() { return isPrivate(); },
      get: (id) => { const one = stored(id); return one && { ...one, id, name: names()[id] || "" }; },
      list() {
        write();
        return ids().map((id) => this.get(id)).filter((one) => one?.turns?.length).sort((a, b) => (b.saved || 0) - (a.saved || 0));
      },
      rename(id, name) {
        const { [id]: _, ...others } = names();
        into(BROWSER, NAMES, JSON.stringify(name ? { ...others, [id]: name } : others));
      },
      add({ id, name, saved, ...conversation }) {  // with its own id where it had one here; whether there was room
        id ||= [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
        if (!into(BROWSER, CONVERSATION + id, JSON.stringify({ ...conversation, id, saved: saved || Date.now() }))) return false;
        this.rename(id, name);
        return true;
      },
      async remove(id) {
        if (id === mine) await this.open(null);
        forget(CONVERSATION + id);
        this.rename(id, "");
      },
      async open(id) {  // another conversation into this tab, a copy where another tab has it; a new one without an id
        if (id && id === mine) return;
        write();
        chosen = id ? stored(id) : null;
        if (id && !(await claimed(id))) chosen = { ...chosen, id: "", before: null };
        if (!chosen?.id) letGo();
        mine = chosen?.id || null;
        if (mine) into(TAB, MINE, mine); else { forget(MINE, TAB); forget(LAST); }
        const box = document.querySelector("#chosen-conversation textarea, #chosen-conversation input");
        box.value = String(performance.now());
        box.dispatchEvent(new Event("input", { bubbles: true }));
      },
      async setPrivate(on) {
        into(TAB, PRIVATE, on ? "yes" : "no");
        document.documentElement.classList.toggle("keeps-nothing", on);
        if (on) forget(DRAFTS, TAB);
        await this.open(null);
      },
    },
    openChosen: () => [chosen, from(BROWSER, RAW) === "yes"],
    openKept: async () => [await openConversation(), from(BROWSER, RAW) === "yes"],
    keepConversation(conversation) {
      if (!conversation?.id || isPrivate()) return;
      if (conversation.id !== mine) {
        write();
        mine = conversation.id;
        into(TAB, MINE, mine);
        claimed(mine);
      }
      waiting = conversation;
      if (timer === null) { write(); timer = setTimeout(write, WRITE_MS); }  // at once, then now and again
    },
    keepRaw: (raw) => { into(BROWSER, RAW, raw ? "yes" : "no"); },
    keepDrafts(names, values) {
      if (!drafts) return;
      names.forEach((name, at) => { drafts[name] = values[at]; });
      if (!isPrivate()) into(TAB, DRAFTS, JSON.stringify(drafts));
    },
    keepBefore: ([text]) => window.paddock.keepDrafts(["before"], [text]),  // the text before a continuation
    openBefore: () => [(drafts || parsed(from(TAB, DRAFTS)))?.before || ""],
    // What boxes show at first, by name; the parameters of a link that say one; and the tab where they do, or any.
    openDrafts(usual, parameters, tab) {
      drafts ||= parsed(from(TAB, DRAFTS)) || {};
      const query = new URL(window.location).searchParams, named = query.get("tab");
      const opens = !tab || tab === (TABS[named] || "chat");
      const linked = (name) => opens && parameters[name]?.some((said) => query.has(said) || named === "measure");
      const untouched = { __type__: "update" };  // what was typed before this came stays
      return Object.keys(usual).map((name) => {
        const same = JSON.stringify(drafts[name] ?? usual[name]) === JSON.stringify(usual[name]);
        return same || linked(name) ? untouched : drafts[name];
      });
    },
  });
  forget("paddock-conversation");  // where all tabs once kept the same one
})();
