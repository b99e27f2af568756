// The page Ask, with scripts: a question is streamed from POST /api/ask and its text shown as it comes; when it is whole the
// turn is fetched as the server shows it. Texts are only ever set as text.
"use strict";
(() => {
  const form = document.getElementById("composer");
  if (!form) return;
  const field = form.elements.question;
  const stop = document.getElementById("stop");
  const turns = document.getElementById("turns");
  const model = document.getElementById("asking");
  let asking = null;
  function fold() {
    const beside = document.querySelector(".history");
    if (beside && matchMedia("(max-width: 60rem)").matches) beside.open = false;
  }
  fold();

  function begin(question) {
    const turn = model.content.firstElementChild.cloneNode(true);
    turn.querySelector("h2").textContent = question;
    document.querySelector(".welcome")?.remove();
    turns.append(turn);
    fold();
    turn.scrollIntoView({ block: "start", behavior: "smooth" });
    return turn;
  }

  function failed(turn, problem) {
    turn.removeAttribute("aria-busy");
    const line = turn.querySelector(".progress");
    line.className = "message error progress";
    line.setAttribute("role", "alert");
    line.textContent = `${problem.title ?? "No answer"}. ${problem.detail ?? ""}`;
  }

  async function* events(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let held = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      held += value;
      let end;
      while ((end = held.indexOf("\n\n")) >= 0) {
        const block = held.slice(0, end);
        held = held.slice(end + 2);
        const name = /^event: (.*)$/m.exec(block);
        const data = /^data: (.*)$/m.exec(block);
        if (name && data) yield { name: name[1], data: JSON.parse(data[1]) };
      }
    }
  }

  async function ask(body, question) {
    if (asking) return;
    asking = new AbortController();
    stop.hidden = false;
    const turn = begin(question);
    const text = turn.querySelector(".text");
    const line = turn.querySelector(".progress");
    let whole = null;
    try {
      const response = await fetch("/api/ask", {
        method: "POST",
        headers: { "content-type": "application/json", accept: "text/event-stream" },
        body: JSON.stringify(body),
        signal: asking.signal,
      });
      if (response.status === 401) { location.assign(`/login?next=${encodeURIComponent(location.pathname)}`); return; }
      if (!response.ok) { failed(turn, await response.json()); field.value ||= question; return; }
      for await (const { name, data } of events(response.body)) {
        if (name === "started") line.textContent = data.passages.length ? `Reading ${data.passages.length} passages …` : "Nothing was found.";
        else if (name === "text") { line.hidden = true; text.append(data.text); }
        else if (name === "done") whole = data;
        else if (name === "error") failed(turn, data);
      }
    } catch (error) {
      failed(turn, asking.signal.aborted
        ? { title: "Stopped", detail: "What was said until then is in the log." }
        : { title: "The connection broke", detail: "Ask again." });
    } finally {
      asking = null;
      stop.hidden = true;
    }
    if (whole) await settle(turn, whole, body);
  }

  // The server's own rendering takes the place of the stream; the address is the conversation's.
  async function settle(turn, whole, body) {
    if (body.regenerate || form.elements.parent.value === "root" || document.querySelector(".message.warn a[href^='/ask/']")) {
      location.assign(`/ask/${encodeURIComponent(whole.conversation_id)}?turn=${whole.interaction_id}`);
      return;
    }
    for (const old of turns.querySelectorAll("[data-key='r']")) delete old.dataset.key;
    await htmx.ajax("GET", `/ask/turns/${whole.interaction_id}`, { target: turn, swap: "outerHTML" });
    if (whole.conversation_id && form.elements.conversation_id.value !== whole.conversation_id) {
      form.elements.conversation_id.value = whole.conversation_id;
      history.replaceState(null, "", `/ask/${encodeURIComponent(whole.conversation_id)}`);
      field.placeholder = "Ask a follow-up …";
    }
    form.elements.parent.value = whole.interaction_id;
    await htmx.ajax("GET", `/ask/conversations?current=${encodeURIComponent(whole.conversation_id)}`, { target: "#conversations", swap: "outerHTML" });
    fold();
  }

  function chosen() {
    const body = {};
    for (const name of ["collection", "mode", "generator"]) if (form.elements[name].value) body[name] = form.elements[name].value;
    return body;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = field.value.trim();
    if (!question || asking) return;
    const body = { question, ...chosen() };
    const conversation = form.elements.conversation_id.value;
    if (conversation) {
      body.conversation_id = conversation;
      if (form.elements.parent.value) body.parent = form.elements.parent.value;
    } else body.conversation = "new";
    field.value = "";
    ask(body, question);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".again")) return;
    event.preventDefault();
    const own = event.target.elements;
    const question = event.target.closest(".turn").querySelector(".asked").textContent;
    ask({ ...chosen(), collection: own.collection.value, regenerate: own.regenerate.value, seed: Number(own.seed.value), temperature: Number(own.temperature.value) }, question);
  });
  stop.addEventListener("click", () => asking?.abort());
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !event.ctrlKey && !event.metaKey) { event.preventDefault(); form.requestSubmit(); }
  });
})();
