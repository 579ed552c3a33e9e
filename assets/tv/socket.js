// The conversation with a portal, by one WebSocket (docs/portal.md, "World TV"). It is kept up: when it breaks there is another one, later and
// later, until the portal says that it is no use. While the page is hidden none is begun, but as soon as it is seen.

/** What comes in front of a frame. */
const HEADER = 12;

/** A connection is given up that has said nothing for so long since a ping. Milliseconds. */
const SILENCE = 9_000;
/** The same when the page is seen again: whoever looks at a dead one does not wait so long. */
const AWAKE = 3_000;
const PING = 2_500;

/** How often the portal is told what came: it holds back by that, as nothing else shows what waits on the way. */
const ACK = 150;

/** Between attempts, at first and at most. */
const PAUSE = [250, 8_000];

/** Codes after which another attempt with the same token ends the same way. */
const FINAL = new Set([4400, 4401, 4403, 4426]);

/** Codes of a portal that has no place now, or is not open: it may be soon. */
const LATER = new Set([4404, 4429, 4503]);

export class Socket {
  #url;
  #hello;
  #tell;
  #socket = null;
  #pause = PAUSE[0];
  #timers = [];
  #again = null;
  #count = 0;
  #acked = 0;
  /** Since when an answer of the portal is waited for; null: it has answered. */
  #asked = null;
  #error = null;
  #over = false;

  /**
   * `hello` gives what is said first (`{token, video, audio}`); `tell(what, value)` hears of: `word` (a message), `frame` (`{kind, flags, sequence, pts, data}`),
   * `open`, `lost` (`{code, error}`), `refused` (the same; nothing comes after it).
   */
  constructor(url, hello, tell) {
    this.#url = url;
    this.#hello = hello;
    this.#tell = tell;
    this.#connect();
  }

  say(word) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(word));
  }

  /** At once, and not when the pause is over: the network is back, or somebody asks for it. */
  hurry() {
    if (this.#socket || this.#over || document.hidden) return;
    this.#pause = PAUSE[0];
    this.#connect();
  }

  /** The page is seen again. A connection may have died meanwhile without a word. */
  wake() {
    this.hurry();
    this.#ping();
    this.#timers.push(setTimeout(() => this.#listen(AWAKE), AWAKE));
  }

  /** Anew, because what is to be said first is something else. */
  again() {
    if (this.#over) return;
    const socket = this.#socket;
    this.#connect();
    socket?.close();
  }

  close() {
    this.#over = true;
    this.#rest();
    this.#socket?.close();
    this.#socket = null;
  }

  #rest() {
    clearTimeout(this.#again);
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #connect() {
    this.#rest();
    const socket = new WebSocket(this.#url);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#count = this.#acked = 0;
    this.#error = null;
    this.#asked = performance.now();
    this.#timers.push(setInterval(() => this.#listen(SILENCE), PING));
    socket.onopen = async () => {
      this.#asked = null;
      let hello;
      try {
        hello = await this.#hello();
      } catch (error) {
        this.#error = { error: 'no_token', message: error.message };
        socket.close();
        return;
      }
      if (socket !== this.#socket) return;
      this.say({ op: 'hello', ...hello });
      this.#timers.push(setInterval(() => this.#ping(), PING), setInterval(() => this.#ack(), ACK));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#asked = null;
      if (typeof data === 'string') this.#word(JSON.parse(data));
      else this.#frame(data);
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#closed(code);
    };
  }

  #ping() {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#asked ??= performance.now();
    this.say({ op: 'ping', t: performance.now() });
  }

  /** Timers of a hidden page run once a minute: what counts is how long ago it was asked, and not heard. */
  #listen(silence) {
    if (this.#asked === null || performance.now() - this.#asked < silence) return;
    // A connection that is dead closes by itself only much later.
    const socket = this.#socket;
    this.#closed(1006);
    socket?.close();
  }

  #ack() {
    if (this.#count === this.#acked) return;
    this.#acked = this.#count;
    this.say({ op: 'ack', count: this.#count });
  }

  #word(word) {
    if (word.op === 'error') this.#error = word;
    if (word.op === 'hello') {
      this.#pause = PAUSE[0];
      this.#tell('open', word);
    }
    this.#tell('word', word);
  }

  #frame(buffer) {
    const view = new DataView(buffer);
    this.#count += 1;
    this.#tell('frame', {
      kind: view.getUint8(0),
      flags: view.getUint8(1),
      sequence: view.getUint16(2),
      pts: Number(view.getBigInt64(4)),
      data: new Uint8Array(buffer, HEADER),
    });
  }

  #closed(code) {
    this.#rest();
    this.#socket = null;
    if (this.#over) return;
    const why = { code, error: this.#error };
    if (FINAL.has(code)) {
      this.#over = true;
      this.#tell('refused', why);
      return;
    }
    this.#tell('lost', why);
    const least = LATER.has(code) || this.#error ? PAUSE[1] / 2 : 0;
    const pause = Math.max(this.#pause, least) * (0.75 + Math.random() / 2);
    this.#pause = Math.min(this.#pause * 2, PAUSE[1]);
    this.#again = setTimeout(() => document.hidden || this.#connect(), pause);
  }
}
