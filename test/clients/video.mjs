// Chromium at portals' pictures: it shows moving colour bars, and says what it sees, by their colours. See browser.mjs for what it is told; besides,
//   {"do": "show", "url", "token", "codec", "colours": […], "layers": 1}   publishes bars of these colours by WHIP, in this codec
//   {"do": "watch", "url", "token"}                            watches by WHEP
//   {"do": "see", "colours": […]}                              waits until these bars are seen, twice in another order: they move
//   {"do": "smooth", "ms": …}                                  looks for so long: the longest time without a new picture, and what was missed
//   {"do": "hide"}                                             publishes no more
// usage: video.mjs
import { browse, serve } from './browser.mjs';

const PAGE = `<!doctype html><meta charset=utf-8><link rel=icon href="data:,"><video muted playsinline autoplay></video><script>
const SIZE = [640, 360];
const say = (event, data) => console.log('URO ' + JSON.stringify({ event, ...data }));
const shown = [];

async function offer(connection, url, token) {
  await connection.setLocalDescription();
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/sdp', authorization: 'Bearer ' + token },
    body: connection.localDescription.sdp,
  });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(response.status + ' ' + sdp);
  await connection.setRemoteDescription({ type: 'answer', sdp });
  await new Promise((resolve, reject) => {
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === 'connected') resolve();
      if (connection.connectionState === 'failed') reject(new Error('no connection'));
    };
    connection.onconnectionstatechange();
  });
  return sdp;
}

function bars(colours) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = SIZE;
  const context = canvas.getContext('2d');
  const [width, height] = [SIZE[0] / colours.length, SIZE[1]];
  let turn = 0;
  const draw = () => {
    colours.forEach((_, at) => {
      context.fillStyle = colours[(at + Math.floor(turn / 8)) % colours.length];
      context.fillRect(at * width, 0, width, height);
    });
    turn += 1;
  };
  draw();
  setInterval(draw, 33);
  return canvas.captureStream(30);
}

async function show({ url, token, codec, colours, layers = 1 }) {
  const connection = new RTCPeerConnection();
  const [track] = bars(colours).getTracks();
  const encodings = layers === 1 ? [{}] : [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'f', maxBitrate: 1_500_000 },
  ];
  const transceiver = connection.addTransceiver(track, { direction: 'sendonly', sendEncodings: encodings });
  const codecs = RTCRtpSender.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(codecs.filter((it) => it.mimeType === 'video/' + codec));
  await offer(connection, url, token);
  shown.push(connection);
  say('shown', {});
}

async function watch({ url, token }) {
  const connection = new RTCPeerConnection();
  connection.addTransceiver('video', { direction: 'recvonly' });
  connection.addTransceiver('audio', { direction: 'recvonly' });
  const began = performance.now();
  connection.ontrack = ({ track, streams }) => {
    if (track.kind === 'video') document.querySelector('video').srcObject = streams[0];
  };
  globalThis.watched = connection;
  document.querySelector('video').onloadeddata = () => say('first', { ms: performance.now() - began });
  await offer(connection, url, token);
  say('watched', {});
}

/** The bars' colours, each as the nearest of those that are wanted; none if one is like none of them. */
function look(colours) {
  const video = document.querySelector('video');
  if (!video.videoWidth) return null;
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  const wanted = colours.map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const seen = colours.map((_, at) => {
    const x = Math.floor(((at + 0.5) * canvas.width) / colours.length);
    const pixel = context.getImageData(x, Math.floor(canvas.height / 2), 1, 1).data;
    const far = (colour) => Math.max(...colour.map((part, index) => Math.abs(part - pixel[index])));
    return wanted.findIndex((colour) => far(colour) < 70);
  });
  return seen.includes(-1) ? null : seen.join('');
}

async function received() {
  const stats = [...(await watched.getStats()).values()];
  return { stats, stream: stats.find((it) => it.type === 'inbound-rtp' && it.kind === 'video') };
}

/** freezeCount is told only when a picture goes on, so frames are counted. */
async function smooth({ ms }) {
  const began = performance.now();
  const { stream: first } = await received();
  let [last, decoded, missed, longest] = [began, first.framesDecoded, first.nackCount, 0];
  while (performance.now() - began < ms) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    const { stream } = await received();
    const now = performance.now();
    longest = Math.max(longest, now - last);
    if (stream.framesDecoded > decoded) last = now;
    [decoded, missed] = [stream.framesDecoded, stream.nackCount];
  }
  say('smooth', { longest, pictures: decoded - first.framesDecoded, missed: missed - first.nackCount });
}

async function see({ colours }) {
  const seen = new Set();
  while (seen.size < 2) {
    const found = look(colours);
    if (found) seen.add(found);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { stats, stream } = await received();
  const codec = stats.find((it) => it.id === stream.codecId).mimeType;
  const { videoWidth: width } = document.querySelector('video');
  say('seen', { codec, width, decoded: stream.framesDecoded, lost: stream.packetsLost, freezes: stream.freezeCount });
}

async function hide() {
  while (shown.length) shown.pop().close();
  say('hidden', {});
}

globalThis.tell = ({ do: what, ...rest }) => {
  ({ show, watch, see, smooth, hide })[what](rest).catch((error) => say('failed', { reason: String(error) }));
};
say('ready', {});
</script>`;

const page = await serve((path) => (path === '/' ? { type: 'text/html', body: PAGE } : null));
await browse(page.origin);
page.close();
