"use strict";

/* Buttons, faders and rows of choices; text is only ever set as text. */

const LEAST_DB = -40; // a fader's lowest place is silence

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

const button = (label, onclick, attributes = {}) =>
  element("button", { type: "button", onclick, ...attributes }, label);

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS(svg.namespaceURI, "path");
  shape.setAttribute("d", path);
  svg.append(shape);
  return svg;
}

const ICONS = {
  play: "M7 4.5v15l12.5-7.5z",
  pause: "M6 4.5h4.2v15H6zM13.8 4.5H18v15h-4.2z",
  start: "M5 5h2.4v14H5zM20 5v14L8.8 12z",
  loop: "M7 7h10v3l4-4-4-4v3H5v6h2zm10 10H7v-3l-4 4 4 4v-3h12v-6h-2z",
};

const decibels = (gain) => (gain ? `${(20 * Math.log10(gain)).toFixed(1).replace("-", "−")} dB` : "−∞ dB");
const toGain = (value) => (value <= LEAST_DB ? 0 : 10 ** (value / 20));

/** One of several, as a row of buttons. */
function choice(label, options, chosen, onchange) {
  const group = element("div", { class: "choice", role: "group", "aria-label": label });
  for (const [value, text, title, disabled] of options) {
    const one = button(text, () => onchange(value), { title, disabled, "data-value": value });
    one.setAttribute("aria-pressed", String(value === chosen));
    group.append(one);
  }
  group.choose = (value) => {
    for (const one of group.children) one.setAttribute("aria-pressed", String(one.dataset.value === String(value)));
  };
  return group;
}

function fader(label, gain, oninput) {
  const input = element("input", { type: "range", min: LEAST_DB, max: 6, step: 0.5, "aria-label": label });
  const shown = element("output", { "aria-hidden": "true" });
  const show = (value) => {
    input.value = value ? 20 * Math.log10(value) : LEAST_DB;
    input.style.setProperty("--filled", `${((input.value - LEAST_DB) / (6 - LEAST_DB)) * 100}%`);
    input.setAttribute("aria-valuetext", decibels(value));
    shown.textContent = decibels(value);
  };
  const change = (value) => {
    show(value);
    oninput(value);
  };
  input.addEventListener("input", () => change(toGain(Number(input.value))));
  input.addEventListener("dblclick", () => change(1));
  show(gain);
  return [input, shown];
}
