// The same pictures and sound by WebRTC, where that is allowed: sooner, and with less work for the portal.

/** A connection that takes longer is not made: UDP is closed on the way. Milliseconds. */
const PATIENCE = 6_000;

export class Whep {
  #connection = new RTCPeerConnection();
  #location = null;
  #token;

  constructor(token) {
    this.#token = token;
  }

  /** Plays by a `<video>`; `ended()` is called when the connection is lost. Rejects when there is none. */
  async play(url, video, ended) {
    const connection = this.#connection;
    const stream = new MediaStream();
    connection.ontrack = ({ track }) => stream.addTrack(track);
    for (const kind of ['video', 'audio']) connection.addTransceiver(kind, { direction: 'recvonly' });
    await connection.setLocalDescription();
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#token}`, 'content-type': 'application/sdp' },
      body: connection.localDescription.sdp,
    });
    const sdp = await response.text();
    if (response.status !== 201) throw new Error(`WHEP: ${response.status}`);
    this.#location = new URL(response.headers.get('location'), url);
    await connection.setRemoteDescription({ type: 'answer', sdp });
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('WHEP: no connection')), PATIENCE);
      connection.onconnectionstatechange = () => {
        const { connectionState: state } = connection;
        if (state === 'connected') {
          clearTimeout(timer);
          resolve();
        }
        if (state === 'failed') {
          clearTimeout(timer);
          reject(new Error('WHEP: no connection'));
          ended();
        }
      };
    });
    video.srcObject = stream;
  }

  /** How many pictures were decoded. */
  async decoded() {
    for (const entry of (await this.#connection.getStats()).values()) {
      if (entry.type === 'inbound-rtp' && entry.kind === 'video') return entry.framesDecoded ?? 0;
    }
    return 0;
  }

  close() {
    this.#connection.onconnectionstatechange = null;
    this.#connection.close();
    if (!this.#location) return;
    const headers = { authorization: `Bearer ${this.#token}` };
    // Its place is free at once; if that fails it is when the portal misses it.
    fetch(this.#location, { method: 'DELETE', headers, keepalive: true }).catch(() => {});
  }
}
