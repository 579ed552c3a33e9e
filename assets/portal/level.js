// How loud a stream is, for a meter.

/** Below this nothing shows, in decibels. */
const FLOOR = -60;

export class Level {
  #context = null;
  #analyser = null;
  #samples = null;

  follow(stream) {
    this.stop();
    this.#context = new AudioContext();
    this.#analyser = this.#context.createAnalyser();
    this.#analyser.fftSize = 1024;
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#context.createMediaStreamSource(stream).connect(this.#analyser);
  }

  stop() {
    this.#context?.close();
    this.#context = null;
  }

  /** From 0, silence, to 1. */
  now() {
    if (!this.#context) return 0;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const power = this.#samples.reduce((sum, sample) => sum + sample * sample, 0) / this.#samples.length;
    return Math.min(Math.max(1 - (10 * Math.log10(power + 1e-12)) / FLOOR, 0), 1);
  }
}
