// One browser in a portal's call: its microphone goes there and the call's mix comes back, by WebRTC; a data channel tells who is
// there. It is set up by one request to `peer`, beside this page. Whoever makes a Session hears of everything by `tell(what, value)`:
// "joined" | "people" Array | "speaking" {id, speaking} | "stream" MediaStream | "lost" reason | "refused" {status, message}

const SETUP_MS = 20_000;
/** A path that is interrupted may come back by itself. */
const INTERRUPTION_MS = 5_000;
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

  #refused(attempt, { status, message, wait }) {
    // A portal that is not open may be so later, and one that is full has room later.
    if (status >= 500 || [404, 408, 409, 429].includes(status)) this.#again(attempt, message, wait);
    else {
      this.leave();
      this.#tell('refused', { status, message });
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

class Attempt {
  #headers;
  #tell;
  #peer = new RTCPeerConnection();
  #control = this.#peer.createDataChannel('vsk-control');
  /** Where the portal ends this session. */
  #location = null;
  #aborted = new AbortController();
  #setup;
  #interruption;
  #pulse;
  #answered = true;
  #asking = false;
  #joined = null;

  constructor(token, track, tell) {
    this.#headers = { authorization: `Bearer ${token}` };
    this.#tell = tell;
    this.#setup = setTimeout(() => this.#tell('lost', 'The portal did not welcome this page.'), SETUP_MS);
    const peer = this.#peer;
    if (track) peer.addTrack(track, new MediaStream([track]));
    else peer.addTransceiver('audio', { direction: 'recvonly' });
    peer.ontrack = ({ track: heard }) => this.#tell('stream', new MediaStream([heard]));
    peer.onconnectionstatechange = () => this.#watch();
    this.#control.onopen = () => this.#say({
      type: 'hello', proto: 1, role: 'listener', voice: { codec: 'opus', frame_ms: 20, channels: 1, rate: 48000 }, listens: 'mix',
    });
    this.#control.onmessage = ({ data }) => this.#hear(JSON.parse(data));
    this.#control.onclose = () => this.#tell('lost', 'The connection was lost.');
    this.#offer().catch((error) => this.#tell('lost', error instanceof TypeError ? 'The portal does not answer.' : error.message));
  }

  lasted() {
    return this.#joined === null ? 0 : performance.now() - this.#joined;
  }

  end() {
    clearTimeout(this.#setup);
    clearTimeout(this.#interruption);
    clearInterval(this.#pulse);
    this.#aborted.abort();
    this.#say({ type: 'bye' });
    // Also when the page is being left.
    if (this.#location) fetch(this.#location, { method: 'DELETE', headers: this.#headers, keepalive: true }).catch(() => {});
    this.#location = null;
    this.#peer.close();
  }

  async #offer() {
    await this.#peer.setLocalDescription();
    // Our candidates need not be in it: the portal sees where the checks come from.
    const answer = await fetch('peer', {
      method: 'POST',
      headers: { ...this.#headers, 'content-type': 'application/sdp' },
      body: this.#peer.localDescription.sdp,
      signal: this.#aborted.signal,
    });
    if (answer.status !== 201) {
      const { message } = await answer.json().catch(() => ({}));
      const wait = 1000 * (Number(answer.headers.get('retry-after')) || 0);
      this.#tell('refused', { status: answer.status, message: message ?? `The portal answered ${answer.status}.`, wait });
      return;
    }
    this.#location = new URL(answer.headers.get('location'), answer.url).href;
    await this.#peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  }

  #watch() {
    clearTimeout(this.#interruption);
    const state = this.#peer.connectionState;
    if (state === 'failed') this.#tell('lost', 'There is no way to the portal: its UDP port may be closed on the way.');
    if (state === 'disconnected') this.#interruption = setTimeout(() => this.#tell('lost', 'The connection was lost.'), INTERRUPTION_MS);
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
    fetch(this.#location, {
      method: 'PATCH',
      headers: { ...this.#headers, 'content-type': 'application/trickle-ice-sdpfrag' },
      body: 'a=end-of-candidates',
      signal: this.#aborted.signal,
    }).then(async (answer) => {
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
        clearTimeout(this.#setup);
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
