// Encoded frames to a canvas, in step with what is heard, or as soon as they come where nothing is.

const KEY = 1;
const GAP = 2;

/** Decoders stall when a page holds more of their frames than a few. */
const DECODED = 4;

/** So many encoded ones that wait are too many: on to the next keyframe. */
const ENCODED = 120;

/** How far ahead of its time a frame is decoded. Microseconds. */
const AHEAD = 100_000;

/** Half of what a display shows a frame for. */
const EARLY = 8_000;

/** A picture is not held back for sound by more than this: then it is another clock. */
const APART = 2_000_000;

/** Between two requests for a keyframe. Milliseconds. */
const ASKED = 1_000;

/** A decoder that fails so often, and shows nothing meanwhile, is none for these pictures, whatever it says of itself. */
const FAILURES = 3;

export class Picture {
  #canvas;
  #context;
  #tell;
  #clock;
  #codec = null;
  #decoder = null;
  #encoded = [];
  #decoded = [];
  #waits = true;
  /** A whole picture that is being decoded, and the newest that came meanwhile. */
  #busy = false;
  #next = null;
  #asked = 0;
  #running = true;
  /** How often the decoder failed since something was drawn. */
  #failures = 0;
  drawn = 0;
  dropped = 0;

  /** `clock()` is what is heard now, or null; `tell(what, value)` hears of `key` (one is needed), `shown`, and `unable` with the name of a codec. */
  constructor(canvas, clock, tell) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', { alpha: false });
    this.#clock = clock;
    this.#tell = tell;
    const draw = () => {
      if (!this.#running) return;
      this.#draw();
      requestAnimationFrame(draw);
    };
    requestAnimationFrame(draw);
  }

  static get possible() {
    return 'VideoDecoder' in globalThis;
  }

  /** The names of those of our codecs that this browser decodes. */
  static async codecs() {
    if (!Picture.possible) return [];
    const known = [['H264', 'avc1.42e01f'], ['VP8', 'vp8']];
    const found = await Promise.all(known.map(async ([name, codec]) => {
      try {
        const { supported } = await VideoDecoder.isConfigSupported({ codec, optimizeForLatency: true });
        return supported ? name : null;
      } catch {
        return null;
      }
    }));
    return found.filter(Boolean);
  }

  /** How what comes next is encoded. */
  set codec(codec) {
    this.#codec = codec;
    this.#close();
  }

  #close() {
    if (this.#decoder && this.#decoder.state !== 'closed') this.#decoder.close();
    this.#decoder = null;
  }

  /** Nothing of what came before counts. */
  flush() {
    for (const frame of this.#decoded.splice(0)) frame.close();
    this.#encoded = [];
    this.#waits = true;
    this.#next = null;
    this.#close();
  }

  stop() {
    this.#running = false;
    this.flush();
  }

  #need() {
    this.#encoded = [];
    this.#waits = true;
    const now = performance.now();
    if (now - this.#asked < ASKED) return;
    this.#asked = now;
    this.#tell('key');
  }

  take({ flags, pts, data }) {
    const key = (flags & KEY) !== 0;
    if (flags & GAP) this.#waits = true;
    if (!key && (this.#waits || !this.#codec)) return;
    if (key && this.#waits) this.#encoded = [];
    if (!key && this.#encoded.length >= ENCODED) {
      this.dropped += 1;
      this.#need();
      return;
    }
    this.#waits = false;
    this.#encoded.push({ type: key ? 'key' : 'delta', timestamp: pts, data });
    this.#decode();
  }

  /** A whole picture (JPEG): none needs another, so the newest is enough. */
  async whole({ pts, data }) {
    this.#next = { pts, data };
    if (this.#busy) return;
    this.#busy = true;
    while (this.#next) {
      const { pts: timestamp, data: bytes } = this.#next;
      this.#next = null;
      try {
        const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
        const { width, height } = bitmap;
        this.#keep({ bitmap, timestamp, displayWidth: width, displayHeight: height, close: () => bitmap.close() });
      } catch {
        // One that cannot be decoded is left out: another one comes.
        this.dropped += 1;
      }
    }
    this.#busy = false;
  }

  #keep(frame) {
    this.#decoded.push(frame);
    // Nobody draws where nobody looks.
    while (this.#decoded.length > 2 * DECODED) this.#decoded.shift().close();
  }

  /** What should be seen now; null: whatever is newest. */
  #now() {
    const heard = this.#clock();
    const next = this.#encoded.at(-1)?.timestamp ?? this.#decoded.at(-1)?.timestamp;
    if (heard === null || next === undefined) return null;
    return Math.abs(next - heard) > APART ? null : heard;
  }

  #decode() {
    const now = this.#now();
    const until = now === null ? Infinity : now + AHEAD;
    while (this.#encoded.length && this.#encoded[0].timestamp <= until) {
      // Without a clock the newest counts, and the decoder may go ahead.
      if (this.#decoded.length >= DECODED && now !== null) return;
      const chunk = this.#encoded.shift();
      try {
        if (!this.#decoder) {
          const decoder = new VideoDecoder({
            output: (frame) => {
              if (decoder !== this.#decoder) return frame.close();
              return this.#keep(frame);
            },
            error: () => this.#broken(decoder),
          });
          // No description: H.264 comes with start codes, and its parameters in front of keyframes.
          decoder.configure({ codec: this.#codec, optimizeForLatency: true });
          this.#decoder = decoder;
        }
        this.#decoder.decode(new EncodedVideoChunk(chunk));
      } catch {
        this.#broken(this.#decoder);
        return;
      }
    }
  }

  #broken(decoder) {
    if (decoder && decoder !== this.#decoder) return;
    this.#close();
    this.#failures += 1;
    if (this.#failures >= FAILURES) {
      this.#failures = 0;
      this.#tell('unable', this.#codec.startsWith('avc1') ? 'H264' : 'VP8');
    }
    this.#need();
  }

  #draw() {
    this.#decode();
    const now = this.#now();
    const until = now === null ? Infinity : now + EARLY;
    let frame = null;
    while (this.#decoded.length && this.#decoded[0].timestamp <= until) {
      if (frame) {
        frame.close();
        this.dropped += 1;
      }
      frame = this.#decoded.shift();
    }
    if (!frame) return;
    const { displayWidth: width, displayHeight: height } = frame;
    if (this.#canvas.width !== width || this.#canvas.height !== height) {
      this.#canvas.width = width;
      this.#canvas.height = height;
    }
    this.#context.drawImage(frame.bitmap ?? frame, 0, 0, width, height);
    frame.close();
    this.#failures = 0;
    this.drawn += 1;
    this.#tell('shown');
  }
}
