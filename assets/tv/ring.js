// Sound on its way out: samples wait here until their time has come. It runs beside the page, so that a busy page does not make it stutter.
// In: {pts, channels: [Float32Array, …]} or 'flush'. Out: {pts, at, held}: which moment is heard at which time of the context.

registerProcessor('ring', class extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    /** Samples that wait before it begins, and that it comes back to. */
    this.target = processorOptions.target;
    this.flush();
    this.port.onmessage = ({ data }) => {
      if (data === 'flush') return this.flush();
      this.blocks.push(data);
      this.held += data.channels[0].length;
      // After a stall all of it comes at once: what is too old is left out.
      while (this.held > this.target * 3 && this.blocks.length > 1) {
        this.held -= this.blocks.shift().channels[0].length - this.offset;
        this.offset = 0;
      }
    };
  }

  flush() {
    this.blocks = [];
    this.offset = 0;
    this.held = 0;
    this.runs = false;
    this.rate = 1;
    this.lowest = Infinity;
    this.turn = 0;
  }

  process(_inputs, [out]) {
    if (!this.runs && this.held >= this.target) this.runs = true;
    const first = this.blocks[0];
    if (this.runs && first && this.turn % 16 === 0) {
      const pts = first.pts + (this.offset / sampleRate) * 1e6;
      this.port.postMessage({ pts, at: currentTime, held: this.held });
    }
    this.turn += 1;
    this.lowest = Math.min(this.lowest, this.held);
    if (this.turn % 200 === 0) {
      // The least that was held for half a second says how much could be missed, or is missing: one in a hundred faster or slower is not heard.
      const spare = this.lowest - this.target / 2;
      this.rate = Math.abs(spare) < this.target / 4 ? 1 : spare > 0 ? 1.01 : 0.99;
      this.lowest = Infinity;
    }
    for (let at = 0; this.runs && at < out[0].length; at += 1) {
      const block = this.blocks[0];
      if (!block) {
        this.runs = false;
        break;
      }
      const whole = Math.floor(this.offset);
      const part = this.offset - whole;
      for (let channel = 0; channel < out.length; channel += 1) {
        const samples = block.channels[channel] ?? block.channels[0];
        const here = samples[whole];
        const next = samples[Math.min(whole + 1, samples.length - 1)];
        out[channel][at] = here + (next - here) * part;
      }
      this.offset += this.rate;
      this.held -= this.rate;
      if (this.offset >= block.channels[0].length) {
        this.offset -= block.channels[0].length;
        this.blocks.shift();
      }
    }
    return true;
  }
});
