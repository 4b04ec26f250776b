// What the pages share: asking the service, saying what is wrong, showing probabilities.

export const model = JSON.parse(document.getElementById("model").textContent);
export const element = (id) => document.getElementById(id);

// The service's answer to `body`. An Error says what the problem document says.
export async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const key = element("key")?.value;
  if (key) headers.Authorization = `Bearer ${key}`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal });
  const answer = await response.json();
  if (!response.ok) {
    if (response.status === 401) element("key-wanted").hidden = false;
    const places = (answer.errors ?? []).map(({ pointer, detail }) => ` ${pointer.slice(2)}: ${detail}.`);
    throw new Error(`${answer.detail ?? answer.title}.${places.join("")}`);
  }
  return answer;
}

// Do what asks the service, and show above the page what goes wrong there.
export async function carefully(work) {
  const trouble = element("trouble");
  try {
    await work();
    trouble.hidden = true;
  } catch (error) {
    if (error.name === "AbortError") return; // stopped by whoever reads
    trouble.textContent = error.message;
    trouble.hidden = false;
  }
}

// A function that does `work`, one at a time: called meanwhile, once more at the end, with the newest state.
export function latest(work) {
  const main = document.querySelector("main");
  let again = false;
  return async function run() {
    again = true;
    if (main.ariaBusy === "true") return;
    main.ariaBusy = "true";
    while (again) {
      again = false;
      await carefully(work);
    }
    main.ariaBusy = "false";
  };
}

// The prediction in words, and a bar for each class.
export function show(prediction, probabilities) {
  element("answer").textContent = model.classes ? prediction : [prediction].flat().map(shortened).join(", ");
  const table = element("chances");
  table.hidden = !probabilities;
  if (!probabilities) return;
  const body = table.tBodies[0];
  if (body.rows.length !== probabilities.length) {
    body.replaceChildren(...probabilities.map((_, i) => row(model.classes[i])));
  }
  probabilities.forEach((p, i) => {
    const [meter, percent] = [body.rows[i].querySelector("meter"), body.rows[i].lastElementChild];
    meter.value = p;
    percent.textContent = `${(100 * p).toFixed(1)} %`;
  });
}

function row(name) {
  const tr = document.createElement("tr");
  const th = document.createElement("th");
  th.scope = "row";
  th.textContent = name;
  const meter = document.createElement("meter");
  meter.ariaLabel = `Probability of ${name}`;
  const cells = [document.createElement("td"), document.createElement("td")];
  cells[0].append(meter);
  tr.append(th, ...cells);
  return tr;
}

function shortened(value) {
  return typeof value === "number" ? Number(value.toPrecision(6)).toString() : value;
}
