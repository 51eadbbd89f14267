"use strict";

/* The queue: what is waiting, running and done; names are only ever set as text. */

const LOOK_MILLISECONDS = 1000;
const byId = (id) => document.getElementById(id);
const addressed = (path) => path.split("/").map(encodeURIComponent).join("/");
const words = { waiting: "waiting", done: "done", failed: "failed", cancelled: "cancelled" };

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", "/"); // not to be read over a shoulder, or from a bookmark
}
const token = sessionStorage.getItem("token");
byId("no-token").hidden = Boolean(token);

async function change(method, address, body, type) {
  const answer = await fetch(address, {
    method,
    body,
    headers: { authorization: `Bearer ${token ?? ""}`, ...(type ? { "content-type": type } : {}) },
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error ?? `The server answers ${answer.status}`);
  return said;
}

const say = (text) => (byId("said").textContent = text);

function row(job) {
  const item = document.createElement("li");
  item.className = job.state;
  const name = document.createElement("strong");
  name.textContent = job.path;
  const more = document.createElement("small");
  const text = document.createElement("div");
  text.append(name, document.createElement("br"), more);
  item.append(text);
  if (job.page) {
    const link = document.createElement("a");
    link.href = `/reports/${addressed(job.page)}`;
    link.textContent = "Listen";
    link.setAttribute("aria-label", `Listen to ${job.path}, ${job.preset}`);
    item.append(link);
  } else if (token && (job.state === "waiting" || job.state === "running")) {
    const stop = document.createElement("button");
    stop.type = "button";
    stop.textContent = "Cancel";
    stop.setAttribute("aria-label", `Cancel ${job.path}, ${job.preset}`);
    stop.onclick = () => change("POST", `/api/jobs/${job.number}/cancel`).then(look, (error) => say(error.message));
    item.append(stop);
  }
  let bar = null;
  if (job.state === "running") {
    bar = document.createElement("progress");
    bar.setAttribute("aria-label", `Progress of ${job.path}`);
    item.append(bar);
  }
  return { item, more, bar };
}

const rows = new Map(); // by number; kept while only the progress changes, so that no press of a button is lost

function shownRow(job) {
  const kind = `${job.state} ${job.page}`;
  if (rows.get(job.number)?.kind !== kind) rows.set(job.number, { ...row(job), kind });
  const { item, more, bar } = rows.get(job.number);
  const stage = job.state === "running" ? `${job.stage || "begins"}, ${Math.round(100 * job.fraction)} %` : words[job.state];
  more.textContent = [job.preset, stage, job.error].filter(Boolean).join(" · ");
  if (bar) bar.value = job.fraction;
  return item;
}

function show(jobs) {
  const known = new Set(jobs.map((job) => job.number));
  for (const number of rows.keys()) if (!known.has(number)) rows.delete(number);
  const items = jobs.map(shownRow);
  const list = byId("jobs");
  if (list.children.length === items.length && items.every((item, at) => item === list.children[at])) return;
  const held = document.activeElement;
  list.replaceChildren(...items);
  if (list.contains(held)) held.focus();
}

let shown = "";

async function look() {
  const state = await (await fetch("/api/state")).json();
  const text = JSON.stringify(state.jobs);
  if (text === shown) return;
  shown = text;
  show(state.jobs);
  byId("none").hidden = state.jobs.length > 0;
  const count = (name) => state.jobs.filter((job) => job.state === name).length;
  byId("summary").textContent = `${count("running")} running, ${count("waiting")} waiting, ${count("done")} done`;
  if (!byId("preset").options.length) {
    byId("preset").replaceChildren(...state.presets.map((name) => new Option(name)));
  }
}

async function suggest() {
  const folder = byId("path").value.replace(/[^/]*$/, "");
  const answer = await fetch(`/api/files?path=${encodeURIComponent(folder)}`);
  if (!answer.ok) return;
  const { folders, files } = await answer.json();
  byId("paths").replaceChildren(...[...folders.map((name) => `${name}/`), ...files].map((name) => new Option(name)));
}

byId("new").addEventListener("submit", async (event) => {
  event.preventDefault();
  const values = { path: byId("path").value.replace(/\/$/, ""), preset: byId("preset").value, kind: byId("kind").value };
  try {
    const job = await change("POST", "/api/jobs", JSON.stringify(values), "application/json");
    say(`${job.path} is job ${job.number}`);
    await look();
  } catch (error) {
    say(error.message);
  }
});

byId("upload").addEventListener("change", async ({ target }) => {
  const [file] = target.files;
  if (!file) return;
  say(`Uploading ${file.name} …`);
  try {
    const { path } = await change("PUT", `/api/uploads/${encodeURIComponent(file.name)}`, file);
    byId("path").value = path;
    say(`${path} is there`);
  } catch (error) {
    say(error.message);
  }
});

let asked = null;
byId("path").addEventListener("input", () => {
  clearTimeout(asked);
  asked = setTimeout(suggest, 150);
});

suggest();
(async function watch() {
  await look().catch(() => (byId("summary").textContent = "The server does not answer"));
  setTimeout(watch, LOOK_MILLISECONDS);
})();
