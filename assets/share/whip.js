// One browser that publishes to a portal by WHIP, and comes again by itself when the connection is lost. The portal is asked every second how that is, which also
// gives a token for the next time. Whoever makes one hears of everything by `tell(what, value)`:
// "air" {on_air, viewers} | "lost" reason | "over" {error, message}, after which nothing comes.

const ASK_MS = 1_000;
/** How long one may take to be connected. */
const SETUP_MS = 20_000;
/** A path that is interrupted may come back by itself. */
const INTERRUPTION_MS = 5_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
/** Nobody is on air again, unaware, long after he was seen last. */
const GIVE_UP_MS = 120_000;
/** A portal that begins anew is there again by then; else it was closed. */
const CLOSED_MS = 5_000;
const FAREWELL_MS = 2_000;

/** Whoever cannot take the camera whole gets the small one. Of a screen nothing could be read there. */
const ENCODINGS = {
  camera: [{ rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 }, { rid: 'f', maxBitrate: 2_000_000 }],
  screen: [{ maxBitrate: 2_500_000 }],
};

export class Whip {
  #token;
  #stream;
  #kind;
  #tell;
  #attempt = null;
  #timer;
  #failures = 0;
  /** When it was connected last; null before the first time. */
  #seen = null;

  constructor(token, stream, kind, tell) {
    this.#token = token;
    this.#stream = stream;
    this.#kind = kind;
    this.#tell = tell;
    this.#connect();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#attempt?.end();
    this.#attempt = null;
  }

  /** Another track stands for the picture that was shown. */
  replace(track) {
    this.#attempt?.replace(track);
  }

  #connect() {
    const attempt = new Attempt(this.#token, this.#stream, ENCODINGS[this.#kind], (what, value) => {
      if (attempt !== this.#attempt) return;
      if (what === 'air') this.#air(value);
      else if (what === 'lost') this.#again(value);
      else this.#refused(value);
    });
    this.#attempt = attempt;
  }

  #air({ token, connected, on_air, viewers }) {
    this.#token = token ?? this.#token;
    if (!connected) return;
    this.#seen = performance.now();
    this.#failures = 0;
    this.#tell('air', { on_air, viewers });
  }

  #refused({ status, error, message, wait }) {
    const anew = status === 404 && this.#seen !== null && performance.now() - this.#seen < CLOSED_MS;
    if (anew) this.#again('The portal begins anew.');
    else if (status >= 500 || [408, 429].includes(status)) this.#again(message, wait);
    else this.#over(error, message);
  }

  #over(error, message) {
    this.stop();
    this.#tell('over', { error, message });
  }

  async #again(reason, atLeast = 0) {
    const attempt = this.#attempt;
    const since = this.#seen ?? attempt.born;
    if (performance.now() - since > GIVE_UP_MS) return this.#over('gave_up', reason);
    this.#attempt = null;
    this.#tell('lost', reason);
    clearTimeout(this.#timer);
    const pause = Math.min(FIRST_WAIT_MS * 2 ** this.#failures, LONGEST_WAIT_MS) * (0.75 + Math.random() / 4);
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#timer = setTimeout(() => this.#connect(), Math.max(pause, atLeast));
    // Else the portal goes on to show the picture of a connection that is dead.
    attempt.end();
  }
}

class Attempt {
  born = performance.now();
  #token;
  #tell;
  #peer = new RTCPeerConnection();
  #video;
  /** Where the portal has this session. */
  #location = null;
  #aborted = new AbortController();
  #timers = {};

  constructor(token, stream, encodings, tell) {
    this.#token = token;
    this.#tell = tell;
    const peer = this.#peer;
    for (const track of stream.getTracks()) {
      const more = track.kind === 'video' ? { sendEncodings: encodings } : {};
      const { sender } = peer.addTransceiver(track, { direction: 'sendonly', streams: [stream], ...more });
      if (track.kind === 'video') this.#video = sender;
    }
    peer.onconnectionstatechange = () => this.#watch();
    this.#timers.setup = setTimeout(() => this.#lost('The connection does not come up: UDP may be closed on the way to the portal.'), SETUP_MS);
    this.#offer().catch((error) => this.#lost(error instanceof TypeError ? 'The portal does not answer.' : error.message));
  }

  replace(track) {
    this.#video?.replaceTrack(track);
  }

  end() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#aborted.abort();
    // Also when the page is being left.
    if (this.#location) {
      fetch(this.#location, { method: 'DELETE', headers: this.#headers(), keepalive: true, signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => {});
    }
    this.#location = null;
    this.#peer.close();
  }

  #headers() {
    return { authorization: `Bearer ${this.#token}` };
  }

  #lost(reason) {
    this.#tell('lost', reason);
  }

  async #refused(answer) {
    const { error, message } = await answer.json().catch(() => ({}));
    const wait = 1000 * (Number(answer.headers.get('retry-after')) || 0);
    this.#tell('refused', { status: answer.status, error, message: message ?? `The portal answered ${answer.status}.`, wait });
  }

  async #offer() {
    await this.#peer.setLocalDescription();
    const answer = await fetch('../whip', {
      method: 'POST',
      headers: { ...this.#headers(), 'content-type': 'application/sdp' },
      body: this.#peer.localDescription.sdp,
      signal: this.#aborted.signal,
    });
    if (answer.status !== 201) return this.#refused(answer);
    this.#location = new URL(answer.headers.get('location'), answer.url).href;
    await this.#peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    this.#ask();
  }

  #watch() {
    clearTimeout(this.#timers.interruption);
    const state = this.#peer.connectionState;
    if (state === 'failed') this.#lost('The connection was lost.');
    if (state === 'disconnected') this.#timers.interruption = setTimeout(() => this.#lost('The connection was lost.'), INTERRUPTION_MS);
    // The portal has ended it, and says why when it is asked.
    if (state === 'closed') this.#ask();
  }

  /** Asks how it is, and again a second later. */
  async #ask() {
    clearTimeout(this.#timers.ask);
    try {
      const answer = await fetch(`${this.#location}/air`, { headers: this.#headers(), signal: this.#aborted.signal });
      const { error } = answer.ok ? {} : await answer.clone().json().catch(() => ({}));
      if (answer.ok) this.#hear(await answer.json());
      // Why it has ended is said to the next offer.
      else if (error === 'no_session') return this.#lost('The connection has ended.');
      else if (error === 'no_portal' || [401, 403].includes(answer.status)) return await this.#refused(answer);
    } catch {
      // It, or the network, is away: it is asked again, and WebRTC notices too.
    }
    if (!this.#aborted.signal.aborted) this.#timers.ask = setTimeout(() => this.#ask(), ASK_MS);
  }

  #hear(air) {
    this.#token = air.token ?? this.#token;
    if (air.connected) clearTimeout(this.#timers.setup);
    this.#tell('air', air);
  }
}
