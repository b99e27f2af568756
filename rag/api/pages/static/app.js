// What every page can do with scripts: shortcuts, copying, times in the reader's zone, dialogs, messages, beacons.
// Pages work without it. Nothing here builds HTML from text.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // ── times: <time datetime> in the reader's own zone, UTC as its title ──
  const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  function localise(root) {
    for (const time of all("time[datetime*='T']:not([title])", root)) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.title = time.textContent;
      time.textContent = clock.format(at);
    }
  }

  // ── copying: <button data-copy="text"> or <button data-copy-from="#id"> ──
  async function copy(button) {
    const from = button.dataset.copyFrom;
    const text = from ? document.querySelector(from).textContent : button.dataset.copy;
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  }

  // ── shortcuts: whatever has data-key="x" is pressed by x (one key, or two after each other as "g a"); its name in the
  //    help is data-key-name, aria-label or its text. data-key on a field gives it the focus. ──
  const typing = (target) => target.isContentEditable || (/^(input|textarea|select)$/i.test(target.tagName) && !/^(radio|checkbox)$/.test(target.type));
  const visible = (element) => element.checkVisibility ? element.checkVisibility() : element.offsetParent !== null;
  let held = "";
  let holding = 0;
  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape") { escape(event); return; }
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    clearTimeout(holding);
    const keys = held ? `${held} ${event.key}` : event.key;
    held = "";
    if (keys === "?") { help(); event.preventDefault(); return; }
    const named = all("[data-key]").filter(visible);
    const found = named.find((element) => element.dataset.key === keys);
    if (found) {
      event.preventDefault();
      if (typing(found)) { found.focus(); found.select?.(); } else found.click();
    } else if (named.some((element) => element.dataset.key.startsWith(`${event.key} `))) {
      held = event.key;
      holding = setTimeout(() => { held = ""; }, 1200);
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1, event);
    }
  }
  function escape(event) {
    const open = document.querySelector("details.confirm[open]");
    if (open) { open.open = false; open.querySelector("summary").focus(); } else if (typing(event.target)) event.target.blur();
  }
  // j and k walk the rows: whatever has data-row; Enter follows its first link as ever.
  function step(by, event) {
    const rows = all("[data-row]").filter(visible);
    if (!rows.length) return;
    event.preventDefault();
    const at = rows.findIndex((row) => row.contains(document.activeElement));
    const row = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
    const link = row.matches("a,button") ? row : row.querySelector("a,button");
    if (link) { link.focus(); row.scrollIntoView({ block: "nearest" }); }
  }
  function help() {
    const dialog = document.getElementById("keys");
    const list = dialog.querySelector("dl");
    list.replaceChildren();
    const told = new Map();
    for (const element of all("[data-key]").filter(visible)) {
      const label = element.dataset.keyName || element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent;
      if (!told.has(element.dataset.key)) told.set(element.dataset.key, label.trim());
    }
    if (all("[data-row]").some(visible)) told.set("j k", "Next, previous row");
    told.set("Esc", "Leave a field or dialog");
    told.set("?", "This help");
    for (const [keys, label] of told) {
      const term = document.createElement("dt");
      for (const key of keys.split(" ")) {
        const cap = document.createElement("kbd");
        cap.textContent = key;
        term.append(cap, " ");
      }
      const meaning = document.createElement("dd");
      meaning.textContent = label;
      list.append(term, meaning);
    }
    dialog.showModal();
  }

  // ── clicks: messages close, dialogs open (data-dialog="id"), confirmations are cancelled ──
  function click(event) {
    const on = (selector) => event.target.closest?.(selector);
    const button = on("[data-copy],[data-copy-from]");
    if (button) copy(button);
    on("[data-close]")?.closest(".message").remove();
    const cancel = on("[data-cancel]");
    if (cancel) { const box = cancel.closest("details"); box.open = false; box.querySelector("summary").focus(); }
    const opener = on("[data-dialog]");
    if (opener?.dataset.dialog === "keys") help();
    else if (opener) document.getElementById(opener.dataset.dialog).showModal();
    for (const open of all("details.confirm[open]")) if (!open.contains(event.target)) open.open = false;
  }

  // ── forms: data-submit on a field sends its form when it changes; Ctrl-Enter sends the form of a text area; files of
  //    more than data-most bytes together are not sent, and data-too-much says why ──
  function change(event) {
    if (event.target.matches?.("input[type=file][data-most]")) {
      const size = [...event.target.files].reduce((sum, file) => sum + file.size, 0);
      event.target.setCustomValidity(size > Number(event.target.dataset.most) ? event.target.dataset.tooMuch : "");
      event.target.reportValidity();
    }
    if (event.target.matches?.("[data-submit]")) event.target.form.requestSubmit();
  }
  function send(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches?.("textarea")) event.target.form?.requestSubmit();
  }

  // ── beacons: when the page is left, what has data-beacon="/address" is told by POST ──
  function leave() {
    for (const element of all("[data-beacon]")) navigator.sendBeacon(element.dataset.beacon);
  }

  // ── the navigation of a narrow page is scrolled to where one is ──
  const here = document.querySelector(".nav [aria-current]");
  if (here) here.closest(".nav").scrollLeft = here.offsetLeft - here.closest(".nav").clientWidth / 2;

  function ready(root) {
    localise(root);
    for (const button of all("[data-copy],[data-copy-from],.keys", root)) button.hidden = false;
  }
  document.documentElement.classList.add("scripted");
  document.addEventListener("keydown", press);
  document.addEventListener("keydown", send);
  document.addEventListener("click", click);
  document.addEventListener("change", change);
  window.addEventListener("pagehide", leave);
  document.addEventListener("htmx:load", (event) => ready(event.detail.elt));
  ready(document);
})();
