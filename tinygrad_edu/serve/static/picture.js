// Paper to draw on: what is drawn is made into a picture as the network knows them, and asked about after every move.

import { ask, element, latest, model, show } from "./common.js";

const { size, channels } = model;
const SMALL = size < 20; // as scikit-learn's digits of 8 x 8; else as MNIST's of 28 x 28
const THICK = SMALL ? 0.2 : 0.13; // a stroke's width, as a share of the digit's height
const FINE = 8; // the drawing is made so many times finer, then averaged
const BOX = SMALL ? 1 : 20 / 28; // the share of the side that a digit fills

const paper = element("paper");
const ink = paper.getContext("2d");
const pen = { x: 0.5, y: 0.5, down: false, shown: false }; // for the keyboard; shares of the paper's side
let strokes = []; // lines of points [x, y], shares of the paper's side
let chosen = null; // a picture file's levels instead

const look = latest(async () => {
  const levels = chosen ?? picture();
  if (!levels) {
    element("answer").textContent = "nothing yet";
    element("layers")?.replaceChildren();
    element("chances").tBodies[0].replaceChildren();
    return;
  }
  const inputs = [levels];
  const asked = [ask(model.predict, { inputs }), model.layers && ask(model.layers, { inputs })];
  const [answer, seen] = await Promise.all(asked);
  if (!chosen && !strokes.length) return; // cleared meanwhile
  if (model.task === "reconstruct") element("answer").textContent = "drawn anew: the last picture below";
  else show(answer.predictions[0], answer.probabilities?.[0]);
  if (seen) element("layers").replaceChildren(...seen.layers.map(figure));
});

function canvas(side) {
  const made = document.createElement("canvas");
  made.width = made.height = side;
  return [made, made.getContext("2d", { willReadFrequently: true })];
}

// The strokes as levels 0..1, ink 1: as large and in the middle as digits are in the data sets, whatever their place.
function picture() {
  const points = strokes.flat();
  if (!points.length) return null;
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const extent = Math.max(right - left, bottom - top, 0.05); // a dot stays small
  const side = size * FINE;
  const box = BOX * side;
  const scale = (box * (1 - THICK)) / extent; // half a stroke stands out on each side
  const [made, context] = canvas(side);
  const at = ([x, y]) => [side / 2 + (x - (left + right) / 2) * scale, side / 2 + (y - (top + bottom) / 2) * scale];
  trace(context, strokes, at, box * THICK);
  let levels = averaged(alpha(context, side), side);
  if (BOX < 1) levels = centred(levels);
  return inChannels(levels);
}

function trace(context, lines, at, width) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const line of lines) {
    context.beginPath();
    context.moveTo(...at(line[0]));
    for (const point of line) context.lineTo(...at(point));
    context.stroke();
  }
}

function alpha(context, side) {
  const { data } = context.getImageData(0, 0, side, side);
  return Float64Array.from({ length: side * side }, (_, i) => data[4 * i + 3] / 255);
}

// (side, side) to (size, size), each pixel the mean of those it covers.
function averaged(fine, side) {
  const out = new Float64Array(size * size);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      out[Math.floor(y / FINE) * size + Math.floor(x / FINE)] += fine[y * side + x] / FINE ** 2;
    }
  }
  return out;
}

// Moved by whole pixels until the centre of mass is in the middle, as MNIST's digits were.
function centred(levels) {
  let [mass, mx, my] = [0, 0, 0];
  levels.forEach((level, i) => {
    mass += level;
    mx += level * (i % size);
    my += level * Math.floor(i / size);
  });
  const [dx, dy] = [Math.round((size - 1) / 2 - mx / mass), Math.round((size - 1) / 2 - my / mass)];
  return levels.map((_, i) => {
    const [x, y] = [(i % size) - dx, Math.floor(i / size) - dy];
    return x >= 0 && x < size && y >= 0 && y < size ? levels[y * size + x] : 0;
  });
}

// Levels (size, size) as the service wants them: rows; for colours the same three times.
function inChannels(levels) {
  const rows = Array.from({ length: size }, (_, y) => Array.from(levels.slice(y * size, (y + 1) * size), rounded));
  return channels === 1 ? rows : Array.from({ length: channels }, () => rows);
}

const rounded = (level) => Math.min(1, Math.round(level * 1000) / 1000);

// A file's square middle, size x size; where the model reads grey, its negative if the paper is bright.
async function fromFile(file) {
  const image = await createImageBitmap(file);
  const side = Math.min(image.width, image.height);
  const [, context] = canvas(size);
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size, size);
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, size, size);
  const { data } = context.getImageData(0, 0, size, size);
  const plane = (c) => Float64Array.from({ length: size * size }, (_, i) => data[4 * i + c] / 255);
  const rows = (levels) => Array.from({ length: size }, (_, y) => Array.from(levels.slice(y * size, (y + 1) * size), rounded));
  if (channels === 3) return [0, 1, 2].map((c) => rows(plane(c)));
  const [r, g, b] = [plane(0), plane(1), plane(2)];
  const grey = r.map((_, i) => 0.299 * r[i] + 0.587 * g[i] + 0.114 * b[i]);
  const edge = grey.filter((_, i) => i < size || i >= size * (size - 1) || i % size === 0 || i % size === size - 1);
  const bright = edge.reduce((a, b) => a + b, 0) / edge.length > 0.5;
  return inChannels(bright ? grey.map((level) => 1 - level) : grey);
}

function redraw() {
  ink.clearRect(0, 0, paper.width, paper.height);
  const side = paper.width;
  ink.strokeStyle = "#1d2433";
  trace(ink, strokes, ([x, y]) => [x * side, y * side], 0.07 * side);
  if (pen.shown) {
    ink.beginPath();
    ink.lineWidth = 3;
    ink.strokeStyle = pen.down ? "#a51d2d" : "#1f5fbf";
    ink.arc(pen.x * side, pen.y * side, 0.045 * side, 0, 2 * Math.PI);
    ink.stroke();
  }
}

function changed() {
  redraw();
  look();
}

function clear() {
  strokes = [];
  chosen = null;
  pen.down = false;
  element("file").value = "";
  changed();
}

function place(event) {
  const { left, top, width, height } = paper.getBoundingClientRect();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}

function begin(point) {
  chosen = null;
  strokes.push([point]);
}

paper.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  paper.setPointerCapture(event.pointerId);
  pen.shown = pen.down = false;
  begin(place(event));
  changed();
});
paper.addEventListener("pointermove", (event) => {
  if (!paper.hasPointerCapture(event.pointerId) || !strokes.length) return;
  strokes.at(-1).push(place(event));
  changed();
});

paper.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (event.key === " ") {
    pen.down = !pen.down;
    if (pen.down) begin([pen.x, pen.y]);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    clear();
  } else if (step) {
    [pen.x, pen.y] = [pen.x + step[0] / 28, pen.y + step[1] / 28].map((part) => Math.min(0.98, Math.max(0.02, part)));
    if (pen.down) strokes.at(-1).push([pen.x, pen.y]);
  } else {
    return;
  }
  event.preventDefault();
  pen.shown = true;
  changed();
});
paper.addEventListener("focus", () => {
  pen.shown = paper.matches(":focus-visible");
  redraw();
});
paper.addEventListener("blur", () => {
  pen.shown = false;
  redraw();
});

element("clear").addEventListener("click", clear);
element("file").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  strokes = [];
  try {
    chosen = await fromFile(file);
  } catch {
    element("trouble").textContent = `${file.name} is no picture that this browser can read.`;
    element("trouble").hidden = false;
    return;
  }
  changed();
});

// One layer's output: maps (C, H, W) side by side, or numbers (D,) as a strip.
function figure(layer) {
  const bytes = Uint8Array.from(atob(layer.levels), (character) => character.charCodeAt(0));
  const levels = new Int8Array(bytes.buffer);
  const [maps, height, width] = layer.shown.length === 3 ? layer.shown : [1, 1, layer.shown[0]];
  const wrapped = height === 1 && maps === 1; // a strip: 32 cells a line
  const [h, w] = wrapped ? [Math.ceil(width / 32), Math.min(width, 32)] : [height, width];
  const across = Math.min(maps, 8);
  const made = document.createElement("canvas");
  made.width = across * (w + 1) - 1;
  made.height = Math.ceil(maps / across) * (h + 1) - 1;
  const zoom = Math.max(1, Math.round((wrapped ? 384 : Math.min(560, 130 * across)) / made.width));
  made.style.width = `${made.width * zoom}px`;
  const context = made.getContext("2d");
  levels.forEach((level, i) => {
    const [map, inside] = [Math.floor(i / (height * width)), i % (height * width)];
    const [x, y] = [(map % across) * (w + 1) + (inside % w), Math.floor(map / across) * (h + 1) + Math.floor(inside / w)];
    context.fillStyle = colour(level / 127);
    context.fillRect(x, y, 1, 1);
  });
  const few = layer.shown[0] < layer.shape[0] ? `, the first ${layer.shown[0]} shown` : "";
  const title = `${layer.name}: ${layer.shape.join(" × ")}${few}`;
  made.role = "img";
  made.ariaLabel = title;
  const caption = document.createElement("figcaption");
  caption.textContent = title;
  const figure = document.createElement("figure");
  figure.append(made, caption);
  return figure;
}

// White at 0, to blue at 1, to orange at -1.
function colour(level) {
  const [r, g, b] = level > 0 ? [31, 95, 191] : [214, 110, 20];
  const mix = (part) => Math.round(255 + (part - 255) * Math.abs(level));
  return `rgb(${mix(r)} ${mix(g)} ${mix(b)})`;
}

redraw();
