// The page of one review: keys for the passage that has the focus, Ctrl-Enter from anywhere. The page works without it.
"use strict";
(() => {
  const form = document.getElementById("review");
  const typing = (target) => /^(textarea|select)$/i.test(target.tagName) || (target.tagName === "INPUT" && target.type !== "radio");

  // r: relevant, and more so each time; x: not relevant; both for the passage in which the focus is.
  function grade(event) {
    const passage = event.target.closest?.(".judged");
    if (!passage || typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const grades = [...passage.querySelectorAll(".grades input")];
    const at = grades.findIndex((each) => each.checked);
    if (event.key === "x") grades[0].checked = true;
    else if (event.key === "r") grades[at < 1 || at === grades.length - 1 ? 1 : at + 1].checked = true;
    else return;
    event.preventDefault();
  }

  // app.js does it in text areas.
  function save(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.tagName !== "TEXTAREA") {
      event.preventDefault();
      form.requestSubmit();
    }
  }

  document.addEventListener("keydown", grade);
  document.addEventListener("keydown", save);
})();
