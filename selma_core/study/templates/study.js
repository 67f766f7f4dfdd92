"use strict";
const study = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const choices = { "1": "left", "2": "tie", "3": "right" };
let rater = "", answers = {}, place = 0, shownAt = 0;

// A browser may refuse storage to a file: then answers live as long as the page.
const store = {
  key: () => `selma-study-${study.study}-${rater}`,
  load() { try { return JSON.parse(localStorage.getItem(this.key())) || {}; } catch { return {}; } },
  save() { try { localStorage.setItem(this.key(), JSON.stringify(answers)); } catch { /* see above */ } },
};

const answerOf = (pair) => answers[pair.id] || {};
const complete = (pair) => study.questions.every((name) => answerOf(pair)[name]);
const current = () => study.questions.find((name) => !answerOf(study.pairs[place])[name]);

function show() {
  const over = place >= study.pairs.length;
  byId("rate").hidden = over;
  byId("done").hidden = !over;
  if (over) { byId("last").focus(); return; }
  const pair = study.pairs[place];
  byId("progress").textContent = `${place + 1} of ${study.pairs.length}`;
  byId("prompt").textContent = pair.prompt;
  byId("left").src = pair.left;
  byId("right").src = pair.right;
  byId("back").disabled = place === 0;
  shownAt = Date.now();
  mark();
}

function mark() {
  const pair = study.pairs[place];
  for (const field of document.querySelectorAll("fieldset")) {
    const name = field.dataset.question;
    field.classList.toggle("current", name === current());
    for (const input of field.querySelectorAll("input")) input.checked = answerOf(pair)[name] === input.value;
  }
  byId("next").disabled = !complete(pair);
}

function answer(name, value) {
  const pair = study.pairs[place];
  const before = answerOf(pair);
  answers[pair.id] = { ...before, [name]: value, seconds: (Date.now() - shownAt) / 1000 };
  store.save();
  mark();
}

function move(step) {
  if (step > 0 && !complete(study.pairs[place])) return;
  place = Math.max(0, place + step);
  show();
}

function download() {
  const result = { schema: 1, study: study.study, rater, answers };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(result, null, 1)], { type: "application/json" }));
  link.download = `results-${rater.replace(/[^A-Za-z0-9_-]+/g, "_")}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

byId("who").addEventListener("submit", (event) => {
  event.preventDefault();
  rater = byId("rater").value.trim();
  if (!rater) return;
  answers = store.load();
  const open = study.pairs.findIndex((pair) => !complete(pair));
  place = open < 0 ? study.pairs.length : open;
  byId("start").hidden = true;
  document.activeElement.blur();
  show();
});
for (const input of document.querySelectorAll("fieldset input")) {
  input.addEventListener("change", () => { answer(input.name, input.value); input.blur(); });
}
byId("back").addEventListener("click", () => move(-1));
byId("next").addEventListener("click", () => move(1));
byId("download").addEventListener("click", download);
byId("last").addEventListener("click", download);
document.addEventListener("keydown", (event) => {
  if (byId("rate").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("button")) return; // a focused button has its own Enter
  if (event.key in choices) answer(current() || study.questions[study.questions.length - 1], choices[event.key]);
  else if (event.key === "Enter") move(1);
  else if (event.key === "Backspace") move(-1);
  else return;
  event.preventDefault();
});
