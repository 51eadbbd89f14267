"use strict";

/* Plays all stems of a track in step, to the sample: a chunk of every voice is started at one and the same frame
   of the audio clock, which runs at the track's own rate, so that nothing is resampled and no gap is left. */

const LEAD_SECONDS = 0.08; // between asking for sound and the frame at which it starts
const AHEAD_SECONDS = 8; // scheduled in advance: hidden tabs wake up once a second only
const FADE_SECONDS = 0.012;

/** One track's transport: play, pause, seek, loop; tells `changed(what)`. */
class Player {
  static contexts = new Map(); // by sample rate: browsers allow few

  constructor(folder, description, changed) {
    this.description = description;
    this.rate = description.rate;
    this.frames = description.frames;
    this.store = new ChunkStore(folder, this.rate);
    this.mix = new Mix(description);
    this.pair = [0, Math.min(1, description.sets.length - 1)]; // the sets that are played side by side
    this.loop = { on: false, from: 0, to: this.frames };
    this.changed = changed;
    this.state = "stopped"; // or "loading", or "playing"
    this.stoppedAt = 0;
    this.pieces = []; // what is scheduled: {at, from, to, sources}
    this.run = 0; // counts starts, so that what waits for an earlier one gives up
  }

  get decks() {
    const sets = [...new Set(this.pair)].map((index) => `set${index}`);
    return this.description.original ? [ORIGINAL, ...sets] : sets;
  }

  /** Decode what play would need first. */
  prepare(frame = this.stoppedAt) {
    const number = Math.floor(Math.min(frame, this.frames - 1) / this.description.chunk);
    return Promise.all(this.decks.map((deck) => this.store.get(deck, number)));
  }

  get position() {
    if (this.state !== "playing") return this.stoppedAt;
    const latency = this.context.outputLatency || 0;
    return this.#positionAt((this.context.currentTime - latency) * this.rate);
  }

  #positionAt(frame) {
    const begun = this.pieces.filter((piece) => piece.at <= frame);
    const piece = begun.at(-1);
    if (!piece) return this.pieces[0]?.from ?? this.stoppedAt;
    return piece.from + Math.min(frame - piece.at, piece.to - piece.from);
  }

  async play() {
    if (this.state !== "stopped") return;
    if (this.stoppedAt >= this.frames) this.stoppedAt = 0;
    await this.#start(this.stoppedAt);
  }

  pause() {
    if (this.state === "stopped") return;
    this.#stop(this.position);
  }

  #stop(position) {
    this.run++;
    this.stoppedAt = Math.round(Math.max(0, Math.min(position, this.frames)));
    this.state = "stopped";
    if (this.context) {
      const end = this.context.currentTime + FADE_SECONDS;
      this.graph.fade.gain.setValueAtTime(1, this.context.currentTime);
      this.graph.fade.gain.linearRampToValueAtTime(0, end);
      this.#silence(end);
    }
    this.changed("state");
  }

  async seek(frame) {
    const target = Math.round(Math.max(0, Math.min(frame, this.frames)));
    if (this.state === "stopped" || target >= this.frames) {
      if (this.state !== "stopped") this.#stop(target);
      this.stoppedAt = target;
      this.changed("position");
      if (target < this.frames) this.prepare(target).catch(() => {});
      return;
    }
    await this.#start(target);
  }

  /** Repeat frames [from, to), or stop repeating. */
  async setLoop(on, from = this.loop.from, to = this.loop.to) {
    const shortest = Math.round(this.rate / 20);
    const start = Math.max(0, Math.min(Math.round(from), this.frames - shortest));
    this.loop = { on, from: Math.max(0, start), to: Math.min(this.frames, Math.max(Math.round(to), start + shortest)) };
    this.changed("loop");
    if (this.state === "stopped") return;
    const here = this.position;
    const outside = on && (here < this.loop.from || here >= this.loop.to);
    await this.#start(outside ? this.loop.from : null);
  }

  /** Gains as the mix says now. */
  applyMix() {
    this.graph?.apply(this.mix, this.state === "playing" ? FADE_SECONDS : 0);
    this.changed("mix");
  }

  /** Hear another set of stems. */
  async chooseSet(index) {
    const missing = !this.pair.includes(index);
    if (missing) this.pair = [this.mix.set, index];
    this.mix.set = index;
    if (missing && this.state === "playing") await this.#start(null);
    this.applyMix();
  }

  #open() {
    if (this.graph) return;
    let context = Player.contexts.get(this.rate);
    if (!context) {
      context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
      Player.contexts.set(this.rate, context);
    }
    this.context = context;
    this.graph = new Graph(context, this.description);
    this.graph.apply(this.mix);
  }

  /** Play from `target`, or if that is null go on from where it is, without a gap. */
  async #start(target) {
    const run = ++this.run;
    this.#open();
    const resumed = this.context.resume();
    if (this.state === "stopped") this.state = "loading";
    this.changed("state");
    try {
      await Promise.all([resumed, this.prepare(target ?? this.position)]);
      if (run !== this.run) return;
      const now = this.context.currentTime;
      const at = Math.ceil((now + LEAD_SECONDS) * this.rate);
      const from = Math.round(target ?? this.#positionAt(at));
      await this.prepare(from); // there already, but where the next chunk has begun meanwhile
      if (run !== this.run) return;
      this.#silence(at / this.rate);
      this.pieces = this.pieces.filter((piece) => piece.at < at);
      for (const piece of this.pieces) piece.to = Math.min(piece.to, piece.from + at - piece.at);
      if (this.state !== "playing") {
        this.pieces = [];
        this.graph.fade.gain.cancelScheduledValues(0);
        this.graph.fade.gain.setValueAtTime(1, now);
      }
      this.state = "playing";
      this.changed("state");
      await this.#schedule(run, at, from);
    } catch (error) {
      if (run !== this.run) return;
      this.#stop(target ?? this.position);
      this.changed("error", error.message);
    }
  }

  #silence(time) {
    for (const piece of this.pieces) {
      for (const source of piece.sources) source.stop(Math.max(time, this.context.currentTime));
    }
  }

  /** The end of the piece that begins at `from`, and where it goes on from there; null: nowhere. */
  nextPiece(from) {
    const { chunk } = this.description;
    const number = Math.floor(from / chunk);
    let to = Math.min((number + 1) * chunk, this.frames);
    let next = to < this.frames ? to : null;
    if (this.loop.on && from < this.loop.to && to >= this.loop.to) {
      to = this.loop.to;
      next = this.loop.from;
    }
    return { number, first: number * chunk, to, next };
  }

  async #schedule(run, at, from) {
    while (from !== null) {
      const { number, first, to, next } = this.nextPiece(from);
      const decks = this.decks;
      const buffers = await Promise.all(decks.map((deck) => this.store.get(deck, number)));
      if (run !== this.run) return;
      const soonest = Math.ceil((this.context.currentTime + LEAD_SECONDS / 4) * this.rate);
      if (at < soonest) at = soonest; // loaded too late: a pause for all voices alike
      const sources = decks.flatMap((deck, index) =>
        this.graph.start(deck, buffers[index], from - first, to - first, at),
      );
      this.pieces.push({ at, from, to, sources });
      at += to - from;
      from = next;
      while ((at / this.rate) - this.context.currentTime > AHEAD_SECONDS) {
        await new Promise((resolve) => setTimeout(resolve, 200));
        if (run !== this.run) return;
        const now = this.context.currentTime * this.rate;
        this.pieces = this.pieces.filter((piece) => piece.at + piece.to - piece.from > now - this.rate);
      }
    }
    while (this.context.currentTime * this.rate < at) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      if (run !== this.run) return;
    }
    this.#stop(this.frames);
  }
}
