// One browser that publishes to a portal by WHIP, and comes again by itself when the connection is lost. The portal is asked every second how that is, which also
// gives a token for the next time. Whoever makes one hears of everything by `tell(what, value)`:
// "air" {on_air, viewers} | "lost" reason, which is words or the portal's {error, message} | "over" {error, message}, after which nothing comes.
import { Connection } from './connection.js';

const ASK_MS = 1_000;
/** How long one may take to be connected. */
const SETUP_MS = 20_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
/** Nobody is on air again, unaware, long after he was seen last. */
const GIVE_UP_MS = 120_000;
/** A portal that begins anew is there again by then; else it was closed. */
const CLOSED_MS = 5_000;

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
    else if (status >= 500 || [408, 429].includes(status)) this.#again({ error, message }, wait);
    else this.#over(error, message);
  }

  #over(error, message) {
    this.stop();
    this.#tell('over', { error, message });
  }

  async #again(reason, atLeast = 0) {
    const attempt = this.#attempt;
    const since = this.#seen ?? attempt.born;
    if (performance.now() - since > GIVE_UP_MS) return this.#over('gave_up', reason.message ?? reason);
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

/** Discord's players show clips of H264, and no others. A browser that does not encode it sends what it can. */
function preferH264(transceiver) {
  const isH264 = ({ mimeType }) => mimeType === 'video/H264';
  const able = RTCRtpSender.getCapabilities('video')?.codecs.some(isH264);
  const known = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  // Safari before 15.4 and Firefox before 128 take no preferences.
  if (able) transceiver.setCodecPreferences?.([...known.filter(isH264), ...known.filter((codec) => !isH264(codec))]);
}

class Attempt extends Connection {
  #tell;
  #video;
  #asks;

  constructor(token, stream, encodings, tell) {
    super(token, 'sharing', SETUP_MS, (what, value) => {
      // The portal has ended it, and says why when it is asked.
      if (what === 'closed') this.#air();
      else if (what !== 'connected') tell(what, value);
    });
    this.#tell = tell;
    for (const track of stream.getTracks()) {
      const more = track.kind === 'video' ? { sendEncodings: encodings } : {};
      const transceiver = this.peer.addTransceiver(track, { direction: 'sendonly', streams: [stream], ...more });
      if (track.kind === 'video') {
        this.#video = transceiver.sender;
        preferH264(transceiver);
      }
    }
    this.offer('../whip').then(() => this.location && this.#air());
  }

  replace(track) {
    this.#video?.replaceTrack(track);
  }

  end() {
    clearTimeout(this.#asks);
    super.end();
  }

  /** Asks how it is, and again a second later. */
  async #air() {
    clearTimeout(this.#asks);
    try {
      const answer = await this.ask(`${this.location}/air`);
      if (answer.type === 'opaqueredirect') return this.#tell('lost', 'The portal is on another bridge.');
      const { error } = answer.ok ? {} : await answer.clone().json().catch(() => ({}));
      if (answer.ok) this.#hear(await answer.json());
      // Why it has ended is said to the next offer.
      else if (error === 'no_session') return this.#tell('lost', 'The connection has ended.');
      else if (error === 'no_portal' || [401, 403].includes(answer.status)) return await this.refuse(answer);
    } catch {
      // It, or the network, is away: it is asked again, and WebRTC notices too.
    }
    if (!this.over) this.#asks = setTimeout(() => this.#air(), ASK_MS);
    return undefined;
  }

  #hear(air) {
    this.token = air.token ?? this.token;
    if (air.connected) this.ready();
    this.#tell('air', air);
  }
}
