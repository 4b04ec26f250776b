// A form with a field for each column, or with a box for a text; every change asks for a prediction.

import { ask, element, latest, model, show } from "./common.js";

const form = element("form");

const predict = latest(async () => {
  if (!form.checkValidity()) return;
  const input = model.kind === "sentence" ? form.elements["field-0"].value : model.fields.map(value);
  const { predictions, probabilities } = await ask(model.predict, { inputs: [input] });
  show(predictions[0], probabilities?.[0]);
});

function value(field, i) {
  const written = form.elements[`field-${i}`].value;
  if (written === "") return field.kind === "number" || field.choices ? null : "";
  return field.kind === "number" && !field.choices ? Number(written) : written;
}

form.addEventListener("input", predict);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  predict();
});
