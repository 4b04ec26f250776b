// The model writes on, some characters a request; each remembers what the model looked back at when it chose it.

import { ask, carefully, element, model } from "./common.js";

const PIECE = 16; // characters a request: small, so that one sees it write
const MOST = 400; // characters in all

const page = element("page");
const still = matchMedia("(prefers-reduced-motion)").matches; // whoever reads wants nothing to move
let looks = []; // for each character written: weights of those before it, the nearest last; null for those given
let chosen = -1;
let stopping = null; // while it writes: an AbortController

element("temperature").addEventListener("input", (event) => {
  element("temperature-said").textContent = event.target.value;
});

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!stopping) carefully(write);
});

element("stop").addEventListener("click", () => stopping?.abort());

async function write() {
  let text = element("prompt").value;
  const temperature = Number(element("temperature").value);
  page.replaceChildren(...[...text].map((character) => span(character, "given")));
  looks = [...text].map(() => null);
  chosen = -1;
  stopping = new AbortController();
  writing(true);
  try {
    for (let written = 0; written < MOST; written += PIECE) {
      const body = { prompt: text, characters: PIECE, temperature, seed: Math.floor(Math.random() * 2 ** 31) };
      const answer = await ask(model.generate, body, stopping.signal);
      text += answer.text;
      for (const [i, character] of [...answer.text].entries()) {
        looks.push(answer.attention[i]);
        page.append(span(character, "written"));
        page.scrollTop = page.scrollHeight;
        choose(looks.length - 1);
        if (!still) await new Promise(requestAnimationFrame); // one by one, as it was written
        stopping.signal.throwIfAborted();
      }
    }
  } finally {
    stopping = null;
    writing(false);
  }
}

function writing(now) {
  element("write").disabled = now;
  element("stop").disabled = !now;
  page.ariaBusy = String(now);
}

function span(character, name) {
  const made = document.createElement("span");
  made.textContent = character;
  made.className = name;
  return made;
}

// Mark the character at a place, and those that it was chosen by.
function choose(place, say = false) {
  const characters = page.children;
  paint(chosen, () => "");
  characters[chosen]?.classList.remove("chosen");
  chosen = Math.max(0, Math.min(place, characters.length - 1));
  characters[chosen]?.classList.add("chosen");
  const most = Math.max(...(looks[chosen] ?? [1]));
  paint(chosen, (weight) => `rgb(31 95 191 / ${(0.75 * weight) / most})`);
  if (say) element("looked").textContent = looked();
}

// Colour the characters before a place by the weights that they had there.
function paint(place, colour) {
  const weights = looks[place] ?? [];
  weights.forEach((weight, i) => {
    const before = page.children[place - weights.length + i];
    if (before) before.style.backgroundColor = colour(weight);
  });
}

// The same in words, for those who hear the page.
function looked() {
  const weights = looks[chosen];
  const named = (i) => ({ " ": "space", "\n": "end of line" })[page.children[i].textContent] ?? page.children[i].textContent;
  if (!weights) return `${named(chosen)}: given.`;
  const first = chosen - weights.length;
  const order = [...weights.keys()].filter((i) => first + i >= 0).sort((a, b) => weights[b] - weights[a]);
  const best = order.slice(0, 3).map((i) => `${named(first + i)}, ${weights.length - i} back`);
  return `${named(chosen)}: looked most at ${best.join("; ")}.`;
}

page.addEventListener("pointerover", (event) => {
  if (!stopping && event.target !== page) choose([...page.children].indexOf(event.target));
});

page.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (stopping || step === undefined || !page.children.length) return;
  event.preventDefault();
  choose(chosen + step, true);
  page.children[chosen].scrollIntoView({ block: "nearest" });
});
