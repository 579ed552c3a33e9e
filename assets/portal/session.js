// One browser in a portal's call: its microphone goes there and the call's mix comes back, by WebRTC; a data channel tells who is
// there. It is set up by one request to `peer`, beside this page. Whoever makes a Session hears of everything by `tell(what, value)`:
// "joined" | "people" Array | "speaking" {id, speaking} | "stream" MediaStream | "lost" reason, which is words or the portal's {error, message} | "refused" {error, message}
import { Connection } from './connection.js';

const SETUP_MS = 20_000;
/** How often the portal is asked whether it is there. */
const PULSE_MS = 500;
/** At first it is tried at once, but not by all pages in the same moment. */
const AT_ONCE_MS = 200;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A connection that lasted so long was a good one: the next attempt need not wait long. */
const GOOD_MS = 10_000;

export class Session {
  #token;
  #track;
  #tell;
  #failures = 0;
  #attempt = null;
  #timer;

  /** `track`: the microphone's, or null to listen only. */
  constructor(token, track, tell) {
    this.#token = token;
    this.#track = track;
    this.#tell = tell;
    this.#connect();
  }

  leave() {
    clearTimeout(this.#timer);
    this.#attempt?.end();
    this.#attempt = null;
  }

  #connect() {
    const attempt = new Attempt(this.#token, this.#track, (what, value) => {
      if (attempt !== this.#attempt) return;
      if (what === 'lost') this.#again(attempt, value);
      else if (what === 'refused') this.#refused(attempt, value);
      else this.#tell(what, value);
    });
    this.#attempt = attempt;
  }

  #refused(attempt, { status, error, message, wait }) {
    // A portal that is not open may be so later, and one that is full has room later.
    if (status >= 500 || [404, 408, 409, 429].includes(status)) this.#again(attempt, { error, message }, wait);
    else {
      this.leave();
      this.#tell('refused', { error, message });
    }
  }

  #again(attempt, reason, atLeast = 0) {
    // What it tells from now on, such as that its channel closes, is nobody's business.
    this.#attempt = null;
    attempt.end();
    if (attempt.lasted() > GOOD_MS) this.#failures = 0;
    const pause = Math.min(FIRST_WAIT_MS * 2 ** (this.#failures - 1), LONGEST_WAIT_MS) * (0.75 + Math.random() / 4);
    // What the portal asks for, it asks of all alike.
    const wait = Math.max(this.#failures === 0 ? AT_ONCE_MS * Math.random() : pause, atLeast * (1 + Math.random() / 4));
    this.#failures = Math.min(this.#failures + 1, 16);
    this.#tell('lost', reason);
    this.#timer = setTimeout(() => this.#connect(), wait);
  }
}

class Attempt extends Connection {
  #tell;
  #control = this.peer.createDataChannel('vsk-control');
  #pulse;
  #answered = true;
  #asking = false;
  #joined = null;

  constructor(token, track, tell) {
    super(token, track ? 'talking' : 'listening', SETUP_MS, (what, value) => (what === 'lost' || what === 'refused') && tell(what, value));
    this.#tell = tell;
    if (track) this.peer.addTrack(track, new MediaStream([track]));
    else this.peer.addTransceiver('audio', { direction: 'recvonly' });
    this.peer.ontrack = ({ track: heard }) => this.#tell('stream', new MediaStream([heard]));
    this.#control.onopen = () => this.#say({
      type: 'hello', proto: 1, role: 'listener', voice: { codec: 'opus', frame_ms: 20, channels: 1, rate: 48000 }, listens: 'mix',
    });
    this.#control.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#control.onclose = () => this.#tell('lost', 'The connection was lost.');
    this.offer('peer');
  }

  lasted() {
    return this.#joined === null ? 0 : performance.now() - this.#joined;
  }

  end() {
    clearInterval(this.#pulse);
    this.#say({ type: 'bye' });
    super.end();
  }

  /** A portal that is killed says good-bye to nobody, and WebRTC takes long to notice. One that has no answer is asked by HTTP whom it knows. */
  #beat() {
    if (this.#answered) {
      this.#answered = false;
      this.#say({ type: 'ping' });
      return;
    }
    if (this.#asking) return;
    this.#asking = true;
    const fragment = { 'content-type': 'application/trickle-ice-sdpfrag' };
    this.ask(this.location, { method: 'PATCH', headers: fragment, body: 'a=end-of-candidates' }).then(async (answer) => {
      if (answer.type === 'opaqueredirect') return this.#tell('lost', 'The portal is on another bridge.');
      // A 404 of a proxy says nothing of the session.
      const { error } = answer.status === 404 ? await answer.json() : {};
      if (error === 'no_session' || error === 'no_portal') this.#tell('lost', 'The portal has begun anew.');
    }).catch(() => { /* It, or the network, is away: it is asked again. */ }).finally(() => { this.#asking = false; });
  }

  #say(message) {
    if (this.#control.readyState === 'open') this.#control.send(JSON.stringify(message));
  }

  #hear(message) {
    switch (message.type) {
      case 'welcome':
        this.ready();
        this.#joined = performance.now();
        this.#pulse = setInterval(() => this.#beat(), PULSE_MS);
        this.#tell('joined');
        break;
      case 'pong': this.#answered = true; break;
      case 'roster': this.#tell('people', message.speakers); break;
      case 'speaking': this.#tell('speaking', message); break;
      case 'bye': this.#tell('lost', `The portal said good-bye: ${message.reason}`); break;
      case 'error': console.warn(message.code, message.message); break;
    }
  }
}
