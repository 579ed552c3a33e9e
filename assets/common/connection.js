// One WebRTC connection with a portal: set up by one request (WHIP, WHEP, or `peer`), watched, and hung up. Whoever makes one hears by `tell(what, value)`:
// "connected" | "closed" | "lost" reason | "refused" {status, error, message, wait}. After the last two it is to be ended.
import { move } from './ticket.js';

/** A path that is interrupted may come back by itself. */
const INTERRUPTION_MS = 5_000;
const FAREWELL_MS = 2_000;

const LOST = 'The connection was lost.';
const NO_WAY = 'There is no way to the portal: something between, such as a firewall, lets no UDP through. Try another network.';

export class Connection {
  born = performance.now();
  peer = new RTCPeerConnection();
  /** Where the portal has this session, once it has answered. */
  location = null;
  token;
  /** What `move` tells the page that is loaded anew. */
  doing;
  #tell;
  #aborted = new AbortController();
  #timers = {};
  /** It was connected once. */
  #was = false;

  /** Whoever is not `ready()` after `patience` milliseconds is lost. */
  constructor(token, doing, patience, tell) {
    this.token = token;
    this.doing = doing;
    this.#tell = tell;
    this.peer.onconnectionstatechange = () => this.#watch();
    this.#timers.setup = setTimeout(() => this.#lost(NO_WAY), patience);
  }

  get over() {
    return this.#aborted.signal.aborted;
  }

  /** Offers what `peer` is made for by now. */
  async offer(url) {
    try {
      await this.peer.setLocalDescription();
      // Our candidates need not be in it: the portal sees where the checks come from.
      const headers = { 'content-type': 'application/sdp', ...this.#headers() };
      const answer = await fetch(url, { method: 'POST', headers, body: this.peer.localDescription.sdp, redirect: 'manual' });
      // Another bridge has the portal by now.
      if (answer.type === 'opaqueredirect') return this.over ? undefined : move(this.token, this.doing);
      if (answer.status !== 201) return await this.refuse(answer);
      const location = new URL(answer.headers.get('location'), answer.url).href;
      // It was ended meanwhile, and the portal has made a place for nobody.
      if (this.over) return this.#leave(location);
      this.location = location;
      await this.peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    } catch (error) {
      this.#lost(error instanceof TypeError ? 'The portal does not answer.' : error.message);
    }
    return undefined;
  }

  /** A request with the token; it ends with the connection. Its answer is an "opaqueredirect" where another bridge has the portal by now. */
  ask(url, { headers, ...more } = {}) {
    return fetch(url, { ...more, headers: { ...headers, ...this.#headers() }, redirect: 'manual', signal: this.#aborted.signal });
  }

  /** Tells of an answer that is none. */
  async refuse(answer) {
    const { error, message } = await answer.json().catch(() => ({}));
    const wait = 1000 * (Number(answer.headers.get('retry-after')) || 0);
    this.#say('refused', { status: answer.status, error, message: message ?? `The portal answered ${answer.status}.`, wait });
  }

  /** It does what it was made for. */
  ready() {
    clearTimeout(this.#timers.setup);
  }

  end() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#aborted.abort();
    if (this.location) this.#leave(this.location);
    this.location = null;
    this.peer.onconnectionstatechange = null;
    this.peer.close();
  }

  #headers() {
    return { authorization: `Bearer ${this.token}` };
  }

  /** Also when the page is being left. If it fails the place is free when the portal misses us. */
  #leave(location) {
    fetch(location, { method: 'DELETE', headers: this.#headers(), redirect: 'manual', keepalive: true, signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => {});
  }

  #say(what, value) {
    if (!this.over) this.#tell(what, value);
  }

  #lost(reason) {
    this.#say('lost', reason);
  }

  #watch() {
    clearTimeout(this.#timers.interruption);
    const state = this.peer.connectionState;
    if (state === 'connected') {
      this.#was = true;
      this.#say('connected');
    }
    if (state === 'failed') this.#lost(this.#was ? LOST : NO_WAY);
    if (state === 'disconnected') this.#timers.interruption = setTimeout(() => this.#lost(LOST), INTERRUPTION_MS);
    if (state === 'closed') this.#say('closed');
  }
}
