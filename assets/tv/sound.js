// Opus to the loudspeaker, and what moment is heard now.

/** What waits for its time. Less, and it stutters on an ordinary machine. */
const HELD_MS = 60;
const RATE = 48_000;

export class Sound {
  #context = null;
  #node = null;
  /** What makes the node: two who ask at once wait for the same. */
  #ready = null;
  #gain = null;
  #decoder = null;
  #heard = null;
  #volume = 1;

  /** Whether a browser can do this at all. */
  static get possible() {
    return 'AudioDecoder' in globalThis && 'AudioWorkletNode' in globalThis;
  }

  get runs() {
    return this.#context?.state === 'running' && this.#node !== null;
  }

  /** To be called while somebody presses something: browsers let no page sound by itself. */
  async start() {
    if (!Sound.possible) throw new Error('it has no WebCodecs or no AudioWorklet');
    this.#context ??= new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
    const resumed = this.#context.resume();
    this.#ready ??= this.#make().catch((error) => {
      this.#ready = null;
      throw error;
    });
    await Promise.all([this.#ready, resumed]);
  }

  async #make() {
    await this.#context.audioWorklet.addModule('ring.js');
    this.#node = new AudioWorkletNode(this.#context, 'ring', {
      numberOfInputs: 0,
      outputChannelCount: [2],
      processorOptions: { target: (HELD_MS * RATE) / 1000 },
    });
    this.#gain = new GainNode(this.#context, { gain: this.#volume });
    this.#node.connect(this.#gain).connect(this.#context.destination);
    this.#node.port.onmessage = ({ data }) => {
      this.#heard = data;
    };
  }

  async stop() {
    this.flush();
    await this.#context?.suspend();
  }

  set volume(volume) {
    this.#volume = volume;
    this.#gain?.gain.setTargetAtTime(volume, this.#context.currentTime, 0.02);
  }

  flush() {
    this.#node?.port.postMessage('flush');
    this.#heard = null;
    if (this.#decoder?.state === 'configured') this.#decoder.close();
    this.#decoder = null;
  }

  /** A frame of Opus. */
  play(pts, data) {
    if (!this.runs) return;
    if (this.#decoder?.state !== 'configured') {
      this.#decoder = new AudioDecoder({ output: (audio) => this.#decoded(audio), error: () => {} });
      this.#decoder.configure({ codec: 'opus', sampleRate: RATE, numberOfChannels: 2 });
    }
    this.#decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp: pts, data }));
  }

  #decoded(audio) {
    const channels = [];
    for (let planeIndex = 0; planeIndex < audio.numberOfChannels; planeIndex += 1) {
      const samples = new Float32Array(audio.numberOfFrames);
      audio.copyTo(samples, { planeIndex, format: 'f32-planar' });
      channels.push(samples);
    }
    this.#node.port.postMessage({ pts: audio.timestamp, channels }, channels.map((it) => it.buffer));
    audio.close();
  }

  /** The moment that is heard now, in microseconds of the portal's clock; null while nothing is. */
  now() {
    if (!this.runs || !this.#heard) return null;
    const { contextTime, performanceTime } = this.#context.getOutputTimestamp();
    const out = contextTime + (performance.now() - performanceTime) / 1000;
    const since = out - this.#heard.at;
    // Silence sends nothing: after it, the last word is no clock any more.
    return since > 1 ? null : this.#heard.pts + since * 1e6;
  }
}
