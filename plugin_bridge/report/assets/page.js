"use strict";

/* The mixer: one lane for each stem, the transport, keys; text is only ever set as text. */

const STEP_SECONDS = 5;
const FINE_STEP_SECONDS = 1;
const MONITORS = [
  ["stems", "Stems", "The mixer"],
  ["original", "Original", "What was separated"],
  ["difference", "Difference", "The original without what the mixer plays"],
];

const status = document.getElementById("status");
const mixer = document.getElementById("mixer");
const transport = document.getElementById("transport");

class Page {
  constructor(folder, name, description) {
    this.folder = folder;
    this.name = name;
    this.description = description;
    this.rate = description.rate;
    this.player = new Player(folder, description, (what, detail) => this.#changed(what, detail));
    this.view = new View(description.frames);
    this.picture = "wave";
    this.lanes = [];
    this.images = new Map();
    this.#buildTransport();
    this.#buildMixer();
    this.player.prepare().catch((error) => this.#changed("error", error.message));
  }

  get mix() {
    return this.player.mix;
  }

  #buildMixer() {
    const { sets, original } = this.description;
    const presets = sets.map((set, index) => [index, sets.length > 1 ? `${"ABCDEFGH"[index] ?? ""} ${set.preset}` : set.preset, set.preset]);
    this.sets = choice("Preset", presets, 0, (index) => this.chooseSet(index));
    this.pictures = choice(
      "Picture", [["wave", "Waveform"], ["spectrogram", "Spectrogram"]], this.picture, (value) => this.show(value),
    );
    const zoom = element(
      "div", { class: "choice", role: "group", "aria-label": "Zoom" },
      button("−", () => this.zoom(0.5), { "aria-label": "Zoom out" }),
      button("+", () => this.zoom(2), { "aria-label": "Zoom in" }),
    );
    this.rows = element("div", { class: "rows" });
    this.ruler = element("canvas", { class: "ruler", "aria-hidden": "true" });
    this.slider = element(
      "div",
      {
        class: "seek", role: "slider", tabindex: "0", "aria-label": "Position", "aria-valuemin": 0, "aria-valuenow": 0,
        "aria-valuemax": (this.description.frames / this.rate).toFixed(1),
      },
      this.ruler,
    );
    this.cursor = element("div", { class: "cursor" });
    this.region = element("div", { class: "region", hidden: true });
    this.overlay = element("div", { class: "overlay", "aria-hidden": "true" }, this.region, this.cursor);
    this.stage = element("div", { class: "stage" }, element("div", { class: "corner" }), this.slider, this.rows, this.overlay);
    mixer.replaceChildren(
      element(
        "div", { class: "tools" },
        element("h2", {}, this.name),
        ...(sets.length > 1 ? [this.sets] : [element("span", { class: "tag", title: sets[0].preset }, sets[0].preset)]),
        this.pictures, zoom,
      ),
      this.stage,
    );
    mixer.hidden = false;
    if (original) this.originalLane = this.#lane(this.rows, "Original", original, `${ORIGINAL}-0`, null);
    this.stems = element("div", { class: "stems" });
    this.rows.append(this.stems);
    this.#buildStems();
    this.#listenToPointer();
  }

  #buildStems() {
    this.stems.replaceChildren();
    this.lanes = this.originalLane ? [this.originalLane] : [];
    const set = this.mix.set;
    this.description.sets[set].stems.forEach((stem, index) => {
      this.lanes.push(this.#lane(this.stems, stem.name, stem, `set${set}-${index}`, index));
    });
    this.refresh();
    this.draw();
  }

  #lane(parent, name, voice, file, index) {
    const canvas = element("canvas", { role: "img", "aria-label": `Picture of ${name}` });
    const head = element("div", { class: "head" });
    const lane = { name, canvas, head, peaks: peaksOf(voice.peaks), file, index };
    lane.row = element("div", { class: "lane", role: "group", "aria-label": name }, head, element("div", { class: "wave" }, canvas));
    lane.row.style.setProperty("--stem", index === null ? "var(--original)" : `var(--stem-${index % 8})`);
    lane.meter = element("div", { class: "meter", "aria-hidden": "true" }, element("i"));
    head.append(element("div", { class: "name" }, element("span", { class: "dot" }), element("strong", { title: name }, name)));
    if (index !== null) {
      const strip = this.mix.sets[this.mix.set][index];
      lane.mute = button("M", () => this.toggle(index, "mute"), { class: "mute", "aria-label": `Mute ${name}` });
      lane.solo = button("S", () => this.toggle(index, "solo"), { class: "solo", "aria-label": `Solo ${name}` });
      head.firstChild.append(lane.mute, lane.solo);
      head.append(
        element("div", { class: "fader" }, ...fader(`Volume of ${name}`, strip.volume, (value) => {
          strip.volume = value;
          this.player.applyMix();
        })),
      );
      lane.heard = element("div", { class: "heard", "aria-hidden": "true" });
      lane.row.lastChild.append(lane.heard);
      lane.spans = voice.heard ?? [];
    }
    if (lane.peaks.every((peak) => peak === 0)) {
      lane.row.lastChild.append(element("div", { class: "silent" }, element("span", {}, "silent")));
    }
    head.append(lane.meter);
    parent.append(lane.row);
    return lane;
  }

  #buildTransport() {
    const { original } = this.description;
    this.playButton = button(icon(ICONS.play), () => this.playOrPause(), { class: "play", "aria-label": "Play" });
    const toStart = button(icon(ICONS.start), () => this.player.seek(0), { class: "round", "aria-label": "To the start" });
    this.loopButton = button(icon(ICONS.loop), () => this.player.setLoop(!this.player.loop.on), { class: "round", "aria-label": "Loop" });
    this.time = element("span", { class: "now" }, "0:00.0");
    const total = element("span", { class: "total" }, clock(this.description.frames / this.rate));
    const options = MONITORS.map(([value, text, title]) => [
      value, text, title, value !== "stems" && !original,
    ]);
    this.monitors = choice("Listen to", options, "stems", (value) => this.listen(value));
    const volume = element("div", { class: "fader main" }, ...fader("Volume of all", 1, (value) => {
      this.mix.volume = value;
      this.player.applyMix();
    }));
    transport.replaceChildren(
      toStart, this.playButton, this.loopButton, element("div", { class: "time" }, this.time, total), this.monitors, volume,
    );
    transport.hidden = false;
  }

  playOrPause() {
    return this.player.state === "stopped" ? this.player.play() : this.player.pause();
  }

  toggle(index, what) {
    const strip = this.mix.sets[this.mix.set][index];
    if (!strip) return;
    strip[what] = !strip[what];
    this.player.applyMix();
    const name = this.description.sets[this.mix.set].stems[index].name;
    this.say(`${name}: ${what} ${strip[what] ? "on" : "off"}`);
  }

  clear() {
    for (const strip of this.mix.sets[this.mix.set]) strip.mute = strip.solo = false;
    this.player.applyMix();
    this.say("No solo, no mute");
  }

  listen(monitor) {
    if (monitor !== "stems" && !this.description.original) return;
    this.mix.monitor = monitor;
    this.monitors.choose(monitor);
    this.player.applyMix();
    this.say(`Listening to: ${monitor}`);
  }

  chooseSet(index) {
    if (!this.description.sets[index] || index === this.mix.set) return;
    this.player.chooseSet(index);
    this.sets.choose(index);
    this.#buildStems();
    this.say(`Preset ${this.description.sets[index].preset}`);
  }

  otherSet() {
    const [a, b] = this.player.pair;
    this.chooseSet(this.mix.set === a ? b : a);
  }

  show(picture) {
    this.picture = picture;
    this.pictures.choose(picture);
    this.draw();
  }

  zoom(factor) {
    this.view.zoomTo(this.view.zoom * factor, this.player.position);
    this.draw();
  }

  say(text) {
    status.textContent = text;
  }

  #changed(what, detail) {
    if (what === "error") {
      this.say(detail);
      transport.querySelector(".failure")?.remove();
      transport.prepend(element("p", { class: "failure" }, detail));
    }
    if (what === "loop") this.say(this.player.loop.on ? "Loop on" : "Loop off");
    this.refresh();
  }

  /** Buttons as the player and the mix are. */
  refresh() {
    const { state, loop } = this.player;
    const playing = state !== "stopped";
    if (this.playButton.getAttribute("aria-label") !== (playing ? "Pause" : "Play")) {
      this.playButton.replaceChildren(icon(playing ? ICONS.pause : ICONS.play));
      this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    }
    transport.classList.toggle("loading", state === "loading");
    this.loopButton.setAttribute("aria-pressed", String(loop.on));
    const { monitor, set } = this.mix;
    for (const lane of this.lanes) {
      if (lane.index === null) {
        lane.row.classList.toggle("off", monitor === "stems");
        continue;
      }
      const strip = this.mix.sets[set][lane.index];
      lane.mute.setAttribute("aria-pressed", String(strip.mute));
      lane.solo.setAttribute("aria-pressed", String(strip.solo));
      lane.row.classList.toggle("off", monitor === "original" || !this.mix.gain(set, lane.index));
    }
    this.place();
  }

  /** Cursor, loop and time as they are now. */
  place() {
    const position = this.player.position;
    const seconds = position / this.rate;
    if (this.player.state === "playing" && this.view.zoom > 1 && this.view.follow(position)) this.draw();
    const across = this.view.across(position);
    this.cursor.style.left = `${100 * across}%`;
    this.cursor.hidden = across < 0 || across > 1;
    const { on, from, to } = this.player.loop;
    const [left, right] = [from, to].map((frame) => Math.max(0, Math.min(1, this.view.across(frame))));
    this.region.hidden = !(on || from > 0 || to < this.description.frames) || right <= left;
    this.region.classList.toggle("on", on);
    this.region.style.left = `${100 * left}%`;
    this.region.style.width = `${100 * (right - left)}%`;
    const text = clock(seconds, 1);
    if (this.time.textContent !== text) {
      this.time.textContent = text;
      this.slider.setAttribute("aria-valuenow", seconds.toFixed(1));
      this.slider.setAttribute("aria-valuetext", spoken(seconds));
    }
  }

  /** Each lane's level, as it sounds now. */
  meter() {
    const { graph, state } = this.player;
    if (!graph) return;
    for (const lane of this.lanes) {
      const [deck, voice] = lane.file.split("-");
      lane.analyser ??= graph.analyser(deck, Number(voice));
      let peak = 0;
      if (state === "playing") {
        lane.samples ??= new Float32Array(lane.analyser.fftSize);
        lane.analyser.getFloatTimeDomainData(lane.samples);
        for (const sample of lane.samples) peak = Math.max(peak, Math.abs(sample));
      }
      const level = peak ? Math.max(0, 1 + (20 * Math.log10(peak * this.description.scale)) / 60) : 0;
      if (lane.row.classList.contains("off")) lane.level = 0;
      else lane.level = Math.max(Math.min(1, level), (lane.level ?? 0) - 0.025);
      lane.meter.firstChild.style.transform = `scaleX(${lane.level})`;
    }
  }

  draw() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    for (const lane of this.lanes) {
      const isWave = this.picture === "wave";
      lane.row.classList.toggle("dark", !isWave);
      if (isWave) {
        const own = lane.index === null ? colour("--original") : colour(`--stem-${lane.index % 8}`);
        drawWave(lane.canvas, lane.peaks, this.view, own, colour("--line"));
      } else {
        drawPicture(lane.canvas, this.#image(lane.file), this.view);
      }
      if (lane.heard) this.#drawHeard(lane);
    }
    drawRuler(this.ruler, this.view, this.rate, { line: colour("--line"), text: colour("--soft") });
    this.place();
  }

  #drawHeard(lane) {
    lane.heard.replaceChildren();
    for (const [begin, end] of lane.spans) {
      const left = Math.max(0, this.view.across(begin * this.rate));
      const right = Math.min(1, this.view.across(end * this.rate));
      if (right <= left) continue;
      const span = element("i");
      span.style.left = `${100 * left}%`;
      span.style.width = `${100 * (right - left)}%`;
      lane.heard.append(span);
    }
  }

  #image(file) {
    let image = this.images.get(file);
    if (!image) {
      image = new Image();
      image.src = `${folderAddress(this.folder)}/${file}.png`;
      image.onload = () => this.draw();
      this.images.set(file, image);
    }
    return image;
  }

  #listenToPointer() {
    let begun = null;
    const across = (event) => {
      const box = this.overlay.getBoundingClientRect();
      return (event.clientX - box.left) / box.width;
    };
    this.stage.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.target.closest(".wave, .seek")) return;
      begun = { x: event.clientX, frame: this.view.frameAt(across(event)), dragged: false };
      this.stage.setPointerCapture(event.pointerId);
    });
    this.stage.addEventListener("pointermove", (event) => {
      if (!begun || (!begun.dragged && Math.abs(event.clientX - begun.x) < 6)) return;
      begun.dragged = true;
      const here = this.view.frameAt(across(event));
      this.player.loop = { ...this.player.loop, from: Math.min(begun.frame, here), to: Math.max(begun.frame, here) };
      this.place();
    });
    this.stage.addEventListener("pointerup", () => {
      if (begun?.dragged) this.player.setLoop(true);
      else if (begun) this.player.seek(begun.frame);
      begun = null;
    });
    this.stage.addEventListener("pointercancel", () => (begun = null));
  }

  /** Whether the key meant something. */
  key(event) {
    const { player } = this;
    const step = (event.shiftKey ? FINE_STEP_SECONDS : STEP_SECONDS) * this.rate;
    const digit = /^Digit([0-9])$/.exec(event.code)?.[1];
    if (digit === "0") return this.clear(), true;
    if (digit) return this.toggle(Number(digit) - 1, event.shiftKey ? "mute" : "solo"), true;
    const keys = {
      " ": () => this.playOrPause(),
      ArrowLeft: () => player.seek(player.position - step),
      ArrowRight: () => player.seek(Math.min(player.position + step, player.frames - 1)),
      Home: () => player.seek(0),
      End: () => player.seek(player.frames),
      l: () => player.setLoop(!player.loop.on),
      "[": () => player.setLoop(true, player.position, Math.max(player.loop.to, player.position)),
      "]": () => player.setLoop(true, Math.min(player.loop.from, player.position), player.position),
      o: () => this.listen("original"),
      d: () => this.listen("difference"),
      s: () => this.listen("stems"),
      b: () => this.otherSet(),
      v: () => this.show(this.picture === "wave" ? "spectrogram" : "wave"),
      "+": () => this.zoom(2),
      "=": () => this.zoom(2),
      "-": () => this.zoom(0.5),
    };
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    action?.();
    return Boolean(action);
  }
}

let page = null;
const links = [...document.querySelectorAll(".tracks a")];

async function open(folder) {
  page?.player.pause();
  page = null;
  stembridge.page = null;
  mixer.hidden = transport.hidden = true;
  for (const link of links) link.toggleAttribute("data-open", link.dataset.folder === folder);
  for (const link of links) {
    if (link.dataset.folder === folder) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const sections = [...document.querySelectorAll(".figures")];
  for (const section of sections) section.hidden = section.dataset.folder !== folder;
  const { name } = sections.find((section) => !section.hidden).dataset;
  try {
    const description = await stembridge.load(folder, `${folderAddress(folder)}/track.js`);
    if (links.find((link) => link.hasAttribute("data-open"))?.dataset.folder !== folder) return;
    page = new Page(folder, name, description);
    stembridge.page = page;
  } catch (error) {
    status.textContent = error.message;
    mixer.replaceChildren(element("p", { class: "notice" }, error.message));
    mixer.hidden = false;
  }
}

function openAddressed() {
  const wanted = decodeURIComponent(location.hash.slice(1));
  const link = links.find((one) => one.dataset.folder === wanted) ?? (page ? null : links[0]);
  if (link && !link.hasAttribute("data-open")) open(link.dataset.folder);
}

/* Space plays wherever one has clicked; on a button that was reached by keys it presses that. */
let clicked = false;
const presses = (event) => event.key === " " && event.target.matches("button, a") && !clicked;
document.addEventListener("pointerdown", () => (clicked = true), true);
document.addEventListener("keydown", (event) => {
  if (event.key === "Tab") clicked = false;
}, true);

document.addEventListener("keydown", (event) => {
  const bracket = "[]".includes(event.key) && event.altKey && !event.metaKey; // many keyboards have them behind Alt
  if (!page || ((event.ctrlKey || event.metaKey || event.altKey) && !bracket)) return;
  if (document.querySelector("dialog[open]") || presses(event)) return;
  if (event.target.matches("input") && !/^[ \[\]a-z0-9]$/i.test(event.key)) return; // a fader's own keys
  if (page.key(event)) event.preventDefault();
});
document.addEventListener("keyup", (event) => {
  // Some browsers press the button now.
  const inMixer = page && !document.querySelector("dialog[open]");
  if (inMixer && event.key === " " && event.target.matches("button") && !presses(event)) event.preventDefault();
});

const help = document.getElementById("help");
const helpButton = document.getElementById("help-button");
helpButton.hidden = false;
helpButton.addEventListener("click", () => help.showModal());
document.addEventListener("keydown", (event) => event.key === "?" && !help.open && help.showModal());
window.addEventListener("hashchange", openAddressed);
new ResizeObserver(() => page?.draw()).observe(mixer);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page?.draw());

(function tick() {
  if (page?.player.state === "playing") page.place();
  page?.meter();
  requestAnimationFrame(tick);
})();

if (links.length) openAddressed();
