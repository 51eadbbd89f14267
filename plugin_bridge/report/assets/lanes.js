"use strict";

/* Draws waveforms, spectrograms and the ruler; knows which part of the track is in view. */

const FINEST_ZOOM = 32;
const TICK_STEPS = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

function clock(seconds, digits = 0) {
  const scale = 10 ** digits;
  const rounded = Math.floor(seconds * scale + 1e-6) / scale;
  const minutes = Math.floor(rounded / 60);
  const rest = (rounded - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** What a screen reader says for a time. */
function spoken(seconds) {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const rest = `${whole % 60} second${whole % 60 === 1 ? "" : "s"}`;
  return minutes ? `${minutes} minute${minutes === 1 ? "" : "s"} ${rest}` : rest;
}

/** The stretch of frames that is in view. */
class View {
  constructor(frames) {
    this.frames = frames;
    this.zoom = 1;
    this.start = 0;
  }

  get length() {
    return this.frames / this.zoom;
  }

  zoomTo(zoom, around) {
    const part = (around - this.start) / this.length;
    this.zoom = Math.max(1, Math.min(FINEST_ZOOM, zoom));
    this.#move(around - (part >= 0 && part <= 1 ? part : 0.5) * this.length);
  }

  /** Turn to the page on which `frame` is; returns whether the view moved. */
  follow(frame) {
    if (frame >= this.start && frame < this.start + this.length) return false;
    const before = this.start;
    this.#move(frame - 0.02 * this.length);
    return this.start !== before;
  }

  #move(start) {
    this.start = Math.max(0, Math.min(start, this.frames - this.length));
  }

  /** 0..1 across the view. */
  across(frame) {
    return (frame - this.start) / this.length;
  }

  frameAt(across) {
    return this.start + Math.max(0, Math.min(1, across)) * this.length;
  }
}

/** The canvas's context, as many pixels as it has on this screen. */
function fitted(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  const context = canvas.getContext("2d");
  return { context, ratio, width: canvas.width, height: canvas.height };
}

/** Pairs of the lowest and highest sample, in 127ths of the track's loudest. */
function peaksOf(base64) {
  return new Int8Array(bytesOf(base64).buffer);
}

function drawWave(canvas, peaks, view, colour, quiet) {
  const { context, width, height } = fitted(canvas);
  const columns = peaks.length / 2;
  const middle = height / 2;
  // The loudest sample of all voices fills nine tenths; the root lifts what is quiet, so that it can be seen.
  const reach = (value) => Math.sign(value) * Math.sqrt(Math.abs(value) / 127) * middle * 0.92;
  context.fillStyle = quiet;
  context.fillRect(0, Math.floor(middle), width, 1);
  context.fillStyle = colour;
  for (let x = 0; x < width; x++) {
    const first = Math.floor((view.frameAt(x / width) / view.frames) * columns);
    const last = Math.max(first + 1, Math.ceil((view.frameAt((x + 1) / width) / view.frames) * columns));
    let low = 0;
    let high = 0;
    for (let column = first; column < Math.min(last, columns); column++) {
      low = Math.min(low, peaks[2 * column]);
      high = Math.max(high, peaks[2 * column + 1]);
    }
    if (low || high) context.fillRect(x, middle - reach(high), 1, Math.max(1, reach(high) - reach(low)));
  }
}

function drawPicture(canvas, image, view) {
  const { context, width, height } = fitted(canvas);
  if (!image.complete || !image.naturalWidth) return;
  const left = (view.start / view.frames) * image.naturalWidth;
  const part = (view.length / view.frames) * image.naturalWidth;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, left, 0, part, image.naturalHeight, 0, 0, width, height);
}

function drawRuler(canvas, view, rate, colours) {
  const { context, ratio, width, height } = fitted(canvas);
  const seconds = view.length / rate;
  const step = TICK_STEPS.find((one) => (one / seconds) * width > 70 * ratio) ?? TICK_STEPS.at(-1);
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  const begin = view.start / rate;
  for (let tick = Math.ceil(begin / step - 1e-9); tick * step <= begin + seconds; tick++) {
    const x = Math.round(((tick * step - begin) / seconds) * width);
    context.fillStyle = colours.line;
    context.fillRect(x, 0, Math.max(1, Math.round(ratio)), height);
    context.fillStyle = colours.text;
    const digits = step < 0.1 ? 2 : step < 1 ? (step === 0.25 ? 2 : 1) : 0;
    const text = clock(tick * step, digits);
    const left = x + 5 * ratio;
    if (left + context.measureText(text).width < width) context.fillText(text, left, height / 2);
  }
}
