// A clock that Chromium paints into a picture, publishes, and reads where another page of it shows the picture: World TV's, which plays by WHEP or by
// its WebSocket. It answers each line with one.
//   show url= token= width= height= bits= layers= sound=   publishes, in VP8, and with a hum and a beep each second if sound=1; layers=0: JPEGs, 15 a second, on a data channel
//   watch url= token= by=webrtc|websocket link= sound=     opens World TV, presses its key for sound if sound=1; answers first_ms=, from the page's opening to a picture
//   link bits=                  what a page that was opened with link=1 is sent comes by a link of so many bits a second from now on, which holds up to 200 ms of packets
//   wide pixels=                waits until the picture is so wide
//   read seconds=               answers the delays of so long: count= p50_us= p95_us= p99_us= max_us= width=, those of beeps: heard= sound_p50_us= sound_p95_us=, and by how much
//                               a beep comes after the picture that was painted as it began: apart_p50_us= apart_p95_us= (of its size)
//   leave, hide                 sees, or shows no more
// usage: clock.mjs
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { launch, serve } from '../../test/clients/browser.mjs';

/** What a link holds before it loses what comes. */
const QUEUE_MS = 200;

/** What the pages have in common: a clock, how it looks in a picture, and an ear that tells when it begins to be loud. */
const GLASS = `
const CELLS = 40, TIME = 24, CHECK = 4;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** The same in all pages. */
const clock = () => performance.timeOrigin + performance.now();

/** A number's bits, the highest first. */
const bits = (number, count) => Array.from({ length: count }, (_, at) => (number >> (count - 1 - at)) & 1);
const check = (time) => [0, 4, 8, 12, 16, 20].reduce((sum, at) => sum ^ (time >> at), 0) & 15;
const mean = (time) => [...bits(time, TIME), ...bits(check(time), CHECK), 1, 0];

// A block of samples is made when the one before it is played, or a little later: over a second that is evened out.
const EAR = "registerProcessor('ear', class extends AudioWorkletProcessor { quiet = 0; skew = null; process([[samples]]) { " +
  "const skew = Date.now() - currentTime * 1000; this.skew ??= skew; this.skew += (skew - this.skew) / 400; " +
  "if (samples) for (let at = 0; at < samples.length; at += 1) { if (Math.abs(samples[at]) < 0.2) this.quiet += 1; " +
  "else { if (this.quiet > 9600) this.port.postMessage((currentTime + at / sampleRate) * 1000 + this.skew); this.quiet = 0; } } return true; } })";

/** Tells when what comes from this node begins to be loud. */
async function hear(node, tell) {
  const { context } = node;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([EAR], { type: 'text/javascript' })));
  const ear = new AudioWorkletNode(context, 'ear', { numberOfOutputs: 0 });
  ear.port.onmessage = ({ data }) => tell(data);
  node.connect(ear);
}
`;

const SHOW = `<!doctype html><meta charset=utf-8><link rel=icon href="data:,"><script>${GLASS}
/** Pictures a second: of a codec, and whole ones; of these, bytes in a message, and how good they are. */
const RATE = 30, WHOLE_RATE = 15;
const CHUNK = 16 * 1024 - 16, QUALITY = 0.7;
let shown = null, beeps = [];

function paint(canvas, rate, painted) {
  const { width } = canvas;
  const context = canvas.getContext('2d', { alpha: false });
  const cell = width / CELLS;
  let turn = 0;
  const timer = setInterval(() => {
    turn += 1;
    for (let at = 0; at < 60; at += 1) {
      context.fillStyle = 'hsl(' + ((at * 77 + turn * 3) % 360) + ' 60% ' + (20 + ((at * 31 + turn) % 60)) + '%)';
      context.fillRect(((at * 97 + turn * 4) % CELLS) * cell, (2 + ((at * 53) % 20)) * cell, 3 * cell, 2 * cell);
    }
    mean(Math.floor(clock()) % 2 ** TIME).forEach((on, at) => {
      context.fillStyle = on ? '#fff' : '#000';
      context.fillRect(at * cell, 0, cell, cell);
    });
    painted();
  }, 1000 / rate);
  return { stop: () => clearInterval(timer) };
}

/** A hum, so that there is no silence, which is not sent; and beeps. */
async function beep() {
  const audio = new AudioContext({ sampleRate: 48000 });
  await audio.resume();
  const out = new MediaStreamAudioDestinationNode(audio);
  const tone = new OscillatorNode(audio, { frequency: 2000 });
  const gain = new GainNode(audio, { gain: 0 });
  const hum = new OscillatorNode(audio, { frequency: 300 });
  tone.connect(gain).connect(out);
  hum.connect(new GainNode(audio, { gain: 0.05 })).connect(out);
  for (const it of [tone, hum]) it.start();
  await hear(gain, (at) => beeps.push(at));
  const timer = setInterval(() => {
    const at = audio.currentTime + 0.1;
    gain.gain.setValueAtTime(0.5, at);
    gain.gain.setValueAtTime(0, at + 0.1);
  }, 1000);
  return { track: out.stream.getTracks()[0], stop: () => (clearInterval(timer), audio.close()) };
}

async function offer(connection, url, token, kind) {
  await connection.setLocalDescription();
  const headers = { 'content-type': 'application/sdp', authorization: 'Bearer ' + token };
  const response = await fetch(url + '/' + kind, { method: 'POST', headers, body: connection.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(response.status + ' ' + sdp);
  await connection.setRemoteDescription({ type: 'answer', sdp: fast(sdp) });
  await new Promise((resolve, reject) => {
    connection.onconnectionstatechange = () => {
      if (connection.connectionState === 'connected') resolve();
      if (connection.connectionState === 'failed') reject(new Error('no connection'));
    };
    connection.onconnectionstatechange();
  });
}

/** Bandwidth is not to be found out first. */
const fast = (sdp) => sdp.replace(/^(a=rtpmap:(\\d+) VP8\\/90000)\\r$/m, '$1\\r\\na=fmtp:$2 x-google-start-bitrate=4000\\r');

/** As a world of Godot's does it: docs/portal.md, "Data channels". */
function whole(connection, canvas) {
  const control = connection.createDataChannel('vsk-control');
  const video = connection.createDataChannel('vsk-video', { ordered: false, maxRetransmits: 1 });
  control.onopen = () => {
    control.send('{"type":"hello","proto":1,"role":"listener","listens":"nothing"}');
    control.send('{"type":"video","shows":true}');
  };
  let number = 0;
  return paint(canvas, WHOLE_RATE, async () => {
    if (video.readyState !== 'open') return;
    const at = Math.floor(performance.now());
    const bytes = new Uint8Array(await (await new Promise((done) => canvas.toBlob(done, 'image/jpeg', QUALITY))).arrayBuffer());
    const chunks = Math.ceil(bytes.length / CHUNK);
    number += 1;
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      const part = bytes.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);
      const message = new DataView(new ArrayBuffer(16 + part.length));
      message.setUint16(0, 0x0101);
      message.setUint32(4, number, true);
      message.setUint32(8, at, true);
      message.setUint16(12, chunk, true);
      message.setUint16(14, chunks, true);
      new Uint8Array(message.buffer).set(part, 16);
      video.send(message.buffer);
    }
  });
}

async function show({ url, token, width, height, bits, layers, sound }) {
  const connection = new RTCPeerConnection();
  const canvas = Object.assign(document.createElement('canvas'), { width: Number(width), height: Number(height) });
  if (layers === '0') {
    const source = whole(connection, canvas);
    shown = () => [source.stop(), connection.close()];
    return offer(connection, url, token, 'peer');
  }
  const [track] = canvas.captureStream(0).getTracks();
  const sources = [paint(canvas, RATE, () => track.requestFrame())];
  const encodings = layers === '1' ? [{ maxBitrate: Number(bits) }] : [
    { rid: 'q', scaleResolutionDownBy: 2, maxBitrate: 400_000 },
    { rid: 'f', maxBitrate: Number(bits) },
  ];
  const transceiver = connection.addTransceiver(track, { direction: 'sendonly', sendEncodings: encodings });
  const codecs = RTCRtpSender.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(codecs.filter((it) => it.mimeType === 'video/VP8'));
  if (sound === '1') {
    sources.push(await beep());
    connection.addTransceiver(sources[1].track, { direction: 'sendonly' });
  }
  shown = () => [...sources.map((it) => it.stop()), connection.close()];
  await offer(connection, url, token, 'whip');
  // A busy machine is to show late, and not small.
  const { sender } = transceiver;
  return sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' });
}

globalThis.tell = { show, hide: () => shown(), said: () => beeps };
</script>`;

/** In World TV: reads each picture that it shows, and hears what it plays. */
const WATCH = `{${GLASS}
const seen = { pictures: [], heard: [], bad: 0, width: 0, first: null };
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext('2d', { willReadFrequently: true });

/** The time in the picture that is seen, if it is there whole. */
function look(cell) {
  const row = context.getImageData(0, 0, canvas.width, 1).data;
  const cells = Array.from({ length: TIME + CHECK + 2 }, (_, at) => Number(row[Math.floor((at + 0.5) * cell) * 4] > 128));
  const time = cells.slice(0, TIME).reduce((sum, bit) => sum * 2 + bit, 0);
  return mean(time).join() === cells.join() ? time : null;
}

function read(source, width) {
  const now = clock();
  const cell = width / CELLS;
  if (canvas.width !== width) canvas.width = width;
  context.drawImage(source, 0, -Math.floor(cell / 2));
  const time = look(cell);
  seen.first ??= now - performance.timeOrigin;
  seen.width = width;
  if (time === null) seen.bad += 1;
  else {
    const delay = (((now - time) % 2 ** TIME) + 2 ** TIME) % 2 ** TIME;
    seen.pictures.push([now - delay, delay]);
  }
}

// By the WebSocket it draws them.
const { drawImage } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.drawImage = function (...rest) {
  drawImage.apply(this, rest);
  if (this.canvas.id === 'canvas') read(this.canvas, this.canvas.width);
};
const { connect } = AudioNode.prototype;
AudioNode.prototype.connect = function (to, ...rest) {
  const { context } = this;
  if (to instanceof AudioDestinationNode) hear(this, (at) => seen.heard.push(at + context.outputLatency * 1000));
  return connect.call(this, to, ...rest);
};

// By WebRTC a video shows them.
addEventListener('DOMContentLoaded', () => {
  const video = document.getElementById('video');
  const next = () => {
    video.requestVideoFrameCallback(next);
    read(video, video.videoWidth);
  };
  video?.requestVideoFrameCallback(next);
});
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...rest) {
    super(...rest);
    this.addEventListener('track', ({ track }) => {
      if (track.kind !== 'audio') return;
      const context = new AudioContext({ sampleRate: 48000 });
      const source = new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) });
      hear(source, (at) => seen.heard.push(at + context.outputLatency * 1000));
    });
  }
};

globalThis.glass = {
  async first() {
    while (!seen.first) await sleep(5);
    return seen.first;
  },
  async heard() {
    while (!seen.heard.length) await sleep(20);
  },
  async wide(pixels) {
    while (seen.width !== pixels) await sleep(20);
  },
  async collect(seconds) {
    Object.assign(seen, { pictures: [], heard: [], bad: 0 });
    await sleep(seconds * 1000);
    return seen;
  },
};}`;

let capacity = Infinity;

/** By UDP to that address, whose port is returned: what comes from there waits its turn, and what finds a full queue is lost. */
async function datagrams(address, port) {
  const [near, far] = [createSocket('udp4'), createSocket('udp4')];
  for (const socket of [near, far]) await once(socket.bind(0, '127.0.0.1' === address ? address : '0.0.0.0'), 'listening');
  const queue = [];
  let viewer, free = 0, timer = null;
  const forward = () => {
    timer = null;
    while (queue.length && queue[0].due <= performance.now()) near.send(queue.shift().message, viewer.port, viewer.address);
    if (queue.length) timer = setTimeout(forward, queue[0].due - performance.now());
  };
  near.on('message', (message, from) => {
    viewer = from;
    far.send(message, port, address);
  });
  far.on('message', (message) => {
    const now = performance.now();
    const begin = Math.max(now, free);
    if (begin - now > QUEUE_MS) return;
    // With the headers of IP and UDP.
    free = begin + ((message.length + 28) * 8_000) / capacity;
    queue.push({ message, due: free });
    if (!timer) forward();
  });
  return near.address().port;
}

/** By TCP to that address, whose port is returned: what comes from there is read no faster than it is carried, so that the rest waits where it comes from. */
async function stream(address, port) {
  const server = createServer((near) => {
    const far = connect(port, address);
    let free = 0;
    near.pipe(far);
    far.on('data', (data) => {
      free = Math.max(performance.now(), free) + (data.length * 8_000) / capacity;
      far.pause();
      setTimeout(() => (near.write(data), far.resume()), free - performance.now());
    });
    far.on('end', () => near.end());
    for (const socket of [near, far]) socket.setNoDelay(true).on('error', () => [near, far].map((it) => it.destroy()));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server.address().port;
}

/** The answer with one candidate: a link to the first that it names. */
async function through(sdp) {
  const candidate = /^a=candidate:(\S+ 1 udp \d+) ([\d.]+) (\d+) typ host.*$/im;
  const [, head, address, port] = candidate.exec(sdp);
  const rest = sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate:') && line !== 'a=end-of-candidates');
  const at = rest.findIndex((line) => line.startsWith('a=ice-ufrag:'));
  rest.splice(at, 0, `a=candidate:${head} 127.0.0.1 ${await datagrams(address, Number(port))} typ host`);
  return rest.join('\r\n');
}

function percentiles(name, delays) {
  const sorted = [...delays].sort((one, other) => one - other);
  const of = (share) => Math.round(1000 * (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0));
  return { [`${name}p50_us`]: of(0.5), [`${name}p95_us`]: of(0.95), [`${name}p99_us`]: of(0.99), [`${name}max_us`]: of(1) };
}

const files = await serve((path) => (path === '/' ? { type: 'text/html', body: SHOW } : null));
// aiortc's relay says nothing of other origins.
const browser = await launch(['--disable-web-security']);
let page = null;

async function open() {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 } });
  page.on('pageerror', (error) => process.stderr.write(`${error}\n`));
  return page;
}

const painter = await open();
await painter.goto(files.origin);

const lines = {
  show: async (told) => void (await painter.evaluate((told) => globalThis.tell.show(told), told)),
  hide: async () => void (await painter.evaluate(() => globalThis.tell.hide())),
  async watch({ url, token, by, link, sound }) {
    await page?.close();
    page = await open();
    const at = new URL(url);
    if (link === '1') {
      at.port = await stream(at.hostname, at.port);
      await page.route('**/whep?*', async (route) => {
        const response = await route.fetch();
        await route.fulfill({ response, body: await through(await response.text()) });
      });
    }
    await page.addInitScript(WATCH);
    await page.goto(`${at}/tv/?by=${by}#${token}`);
    const first_ms = await page.evaluate(() => globalThis.glass.first());
    if (sound === '1') {
      await page.keyboard.press('m');
      await page.evaluate(() => globalThis.glass.heard());
    }
    return { first_ms };
  },
  async leave() {
    await page.close();
    page = null;
  },
  link({ bits }) {
    capacity = Number(bits);
  },
  wide: ({ pixels }) => page.evaluate((pixels) => globalThis.glass.wide(pixels), Number(pixels)),
  async read({ seconds }) {
    const { pictures, heard, bad, width } = await page.evaluate((seconds) => globalThis.glass.collect(seconds), Number(seconds));
    const said = await painter.evaluate(() => globalThis.tell.said());
    const beeps = heard.map((at) => [said.findLast((it) => it <= at), at]).filter(([it]) => it);
    const picture = (at) => pictures.find(([painted]) => painted >= at);
    const apart = beeps.flatMap(([it, at]) => (picture(it) ? [at - it - picture(it)[1]] : []));
    return {
      count: pictures.length, bad, width, heard: beeps.length,
      ...percentiles('', pictures.map(([, delay]) => delay)),
      ...percentiles('sound_', beeps.map(([it, at]) => at - it)),
      ...percentiles('apart_', apart),
    };
  },
};

console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...rest] = line.split(' ');
  if (what === 'end') break;
  // A token may have "=" in it.
  const told = Object.fromEntries(rest.map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]));
  const answer = (await lines[what](told)) ?? {};
  console.log([what, ...Object.entries(answer).map(([name, value]) => `${name}=${value}`)].join(' '));
}
await browser.close();
process.exit();
