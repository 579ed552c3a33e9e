// The same pictures and sound by WebRTC, where that is allowed: sooner, and with less work for the portal.
import { Connection } from './connection.js';

/** A connection that takes longer is not made: UDP is closed on the way. Milliseconds. */
const PATIENCE = 6_000;

export class Whep extends Connection {
  /** Plays by a `<video>`; `tell('plays')` when it does, `tell('ended')` when it does not, or no more. */
  constructor(token, url, video, tell) {
    super(token, '', PATIENCE, (what) => {
      if (what === 'connected') {
        this.ready();
        // It may come back from an interruption.
        if (video.srcObject === this.#stream) return;
        video.srcObject = this.#stream;
        tell('plays');
      } else {
        tell('ended');
      }
    });
    this.peer.ontrack = ({ track }) => this.#stream.addTrack(track);
    for (const kind of ['video', 'audio']) this.peer.addTransceiver(kind, { direction: 'recvonly' });
    // The page says it in words, and takes what comes for a picture.
    url.searchParams.set('placeholder', 'false');
    this.offer(url);
  }

  #stream = new MediaStream();
}
