"use strict";

/* A track's audio, and the graph that mixes it.

   Audio comes in chunks of some seconds, each a script that calls stembridge.chunk: a page opened from disk may
   load scripts and nothing else. Only what is about to be heard is decoded. */

const stembridge = { awaited: new Map() };

stembridge.track = (folder, description) => stembridge.awaited.get(folder)?.(description);
stembridge.chunk = (folder, deck, number, pieces) =>
  stembridge.awaited.get(`${folder}/${deck}-${number}`)?.(pieces);

/** Load a script and resolve to what it delivers under `key`. */
stembridge.load = (key, address) =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const end = (settle) => (value) => {
      stembridge.awaited.delete(key);
      script.remove();
      settle(value);
    };
    stembridge.awaited.set(key, end(resolve));
    script.onerror = () => end(reject)(new Error(`${address} is missing: was the whole folder copied?`));
    script.src = address;
    document.head.append(script);
  });

const ORIGINAL = "original";
const KEPT_CHUNKS = 4; // decoded chunks of each deck

const folderAddress = (folder) => `tracks/${encodeURIComponent(folder)}`;

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** The decoded chunks of a track's decks (the original, and each set of stems), as many as are needed now. */
class ChunkStore {
  constructor(folder, rate) {
    this.folder = folder;
    this.decoder = new OfflineAudioContext(1, 1, rate); // decodes at the file's own rate
    this.chunks = new Map();
  }

  /** Resolves to the AudioBuffers of a deck's voices. */
  get(deck, number) {
    const key = `${deck}-${number}`;
    const found = this.chunks.get(key) ?? this.#decode(deck, number);
    this.chunks.delete(key);
    this.chunks.set(key, found); // the last used is the last
    const same = [...this.chunks.keys()].filter((one) => one.startsWith(`${deck}-`));
    for (const old of same.slice(0, -KEPT_CHUNKS)) this.chunks.delete(old);
    return found;
  }

  async #decode(deck, number) {
    const padded = String(number).padStart(4, "0");
    const key = `${this.folder}/${deck}-${number}`;
    try {
      const pieces = await stembridge.load(key, `${folderAddress(this.folder)}/${deck}-${padded}.js`);
      return await Promise.all(pieces.map((piece) => this.decoder.decodeAudioData(bytesOf(piece).buffer)));
    } catch (error) {
      this.chunks.delete(`${deck}-${number}`);
      throw error;
    }
  }
}

/** What the faders say: for each set of stems and each stem volume (linear), mute and solo. */
class Mix {
  constructor(description) {
    this.sets = description.sets.map((set) => set.stems.map(() => ({ volume: 1, mute: false, solo: false })));
    this.set = 0; // the set that is heard
    this.monitor = "stems"; // or "original", or "difference": the original without what the mixer plays
    this.volume = 1;
  }

  gain(set, stem) {
    const strips = this.sets[set];
    const strip = strips[stem];
    const off = strip.mute || (strips.some((one) => one.solo) && !strip.solo);
    return off ? 0 : strip.volume;
  }
}

/** The audio graph: voices -> faders -> decks -> monitor -> volume; the same live and offline. */
class Graph {
  constructor(context, description) {
    this.context = context;
    this.description = description;
    this.fade = new GainNode(context);
    this.master = new GainNode(context);
    this.master.connect(this.fade).connect(context.destination);
    this.decks = new Map();
    if (description.original) this.#deck(ORIGINAL, 1);
    description.sets.forEach((set, index) => this.#deck(`set${index}`, set.stems.length));
  }

  #deck(name, voices) {
    const out = new GainNode(this.context);
    out.connect(this.master);
    const faders = Array.from({ length: voices }, () => new GainNode(this.context));
    for (const fader of faders) fader.connect(out);
    this.decks.set(name, { out, faders });
  }

  /** Set all gains as `mix` says, within `seconds`. */
  apply(mix, seconds = 0) {
    const { sets, scale } = this.description;
    this.#move(this.master.gain, mix.volume * scale, seconds);
    for (const [name, deck] of this.decks) {
      if (name === ORIGINAL) {
        this.#move(deck.out.gain, mix.monitor === "stems" ? 0 : 1, seconds);
        continue;
      }
      const set = Number(name.slice(3));
      const side = { stems: 1, original: 0, difference: -1 }[mix.monitor];
      this.#move(deck.out.gain, set === mix.set ? side * sets[set].gain : 0, seconds);
      deck.faders.forEach((fader, stem) => this.#move(fader.gain, mix.gain(set, stem), seconds));
    }
  }

  #move(parameter, value, seconds) {
    const now = this.context.currentTime;
    if (!seconds) {
      parameter.cancelScheduledValues(0);
      parameter.value = value;
    } else if (Math.abs(parameter.value - value) > 1e-9) {
      const before = parameter.value;
      parameter.cancelScheduledValues(now);
      parameter.setValueAtTime(before, now);
      parameter.linearRampToValueAtTime(value, now + seconds);
    }
  }

  /** Listens to one voice behind its fader. */
  analyser(deck, voice) {
    const node = new AnalyserNode(this.context, { fftSize: 1024 });
    this.decks.get(deck).faders[voice].connect(node);
    return node;
  }

  /** Start frames [from, to) of a chunk's buffers at frame `at` of the context; returns the sources. */
  start(deck, buffers, from, to, at) {
    return buffers.map((buffer, index) => {
      const source = new AudioBufferSourceNode(this.context, { buffer: this.#part(buffer, from, to) });
      source.connect(this.decks.get(deck).faders[index]);
      source.start(at / this.description.rate);
      return source;
    });
  }

  // Frames are copied, since an offset in seconds may fall between two.
  #part(buffer, from, to) {
    if (from === 0 && to === buffer.length) return buffer;
    const { numberOfChannels, sampleRate } = buffer;
    const part = new AudioBuffer({ numberOfChannels, length: to - from, sampleRate });
    for (let channel = 0; channel < numberOfChannels; channel++) {
      part.copyToChannel(buffer.getChannelData(channel).subarray(from, to), channel);
    }
    return part;
  }
}

Object.assign(stembridge, { Graph, Mix });
