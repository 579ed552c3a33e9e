// A clock that Chromium paints into a picture, publishes by WHIP, and reads where it sees it by WHEP. It answers each line with one.
//   show url= token= width= height= bits= layers= sound=   publishes, in VP8, and with a beep each second if sound=1
//   watch url= token= sound=    sees, and hears; answers first_ms=
//   link bits=                  what it sees comes by a link of so many bits a second from now on, which holds up to 200 ms
//   wide pixels=                waits until the picture is so wide
//   read seconds=               answers the delays of so long: count= p50_us= p95_us= p99_us= max_us= width=, and those of beeps: heard= sound_p50_us= sound_p95_us=
//   leave, hide                 sees, or shows no more
// usage: clock.mjs
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { launch, serve } from '../../test/clients/browser.mjs';

/** What a link holds before it loses what comes. */
const QUEUE_MS = 200;

const PAGE = `<!doctype html><meta charset=utf-8><link rel=icon href="data:,"><video muted playsinline autoplay></video><script>
const CELLS = 40, TIME = 24, CHECK = 4, RATE = 30;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const video = document.querySelector('video');
let shown = null, seen = null, audio = null, beeps = [];

/** A number's bits, the highest first. */
const bits = (number, count) => Array.from({ length: count }, (_, at) => (number >> (count - 1 - at)) & 1);
const check = (time) => [0, 4, 8, 12, 16, 20].reduce((sum, at) => sum ^ (time >> at), 0) & 15;
const mean = (time) => [...bits(time, TIME), ...bits(check(time), CHECK), 1, 0];

function paint({ width, height }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { alpha: false });
  const [track] = canvas.captureStream(0).getTracks();
  const cell = width / CELLS;
  let turn = 0;
  const timer = setInterval(() => {
    turn += 1;
    for (let at = 0; at < 60; at += 1) {
      context.fillStyle = 'hsl(' + ((at * 77 + turn * 3) % 360) + ' 60% ' + (20 + ((at * 31 + turn) % 60)) + '%)';
      context.fillRect(((at * 97 + turn * 4) % CELLS) * cell, (2 + ((at * 53) % 20)) * cell, 3 * cell, 2 * cell);
    }
    mean(Math.floor(performance.now()) % 2 ** TIME).forEach((on, at) => {
      context.fillStyle = on ? '#fff' : '#000';
      context.fillRect(at * cell, 0, cell, cell);
    });
    track.requestFrame();
  }, 1000 / RATE);
  return { track, stop: () => clearInterval(timer) };
}

/** Beeps, by the clock by which they are heard too. */
async function beep() {
  const out = new MediaStreamAudioDestinationNode(audio);
  const tone = new OscillatorNode(audio, { frequency: 2000 });
  const gain = new GainNode(audio, { gain: 0 });
  tone.connect(gain).connect(out);
  tone.start();
  const timer = setInterval(() => {
    const at = audio.currentTime + 0.1;
    beeps.push(at);
    if (beeps.length > 100) beeps.shift();
    gain.gain.setValueAtTime(0.5, at);
    gain.gain.setValueAtTime(0, at + 0.1);
  }, 1000);
  return { track: out.stream.getTracks()[0], stop: () => (clearInterval(timer), tone.stop()) };
}

const EAR = "registerProcessor('ear', class extends AudioWorkletProcessor { quiet = 0; process([[samples]]) { " +
  "if (samples) for (let at = 0; at < samples.length; at += 1) { if (Math.abs(samples[at]) < 0.1) this.quiet += 1; " +
  "else { if (this.quiet > 9600) this.port.postMessage(currentTime + at / sampleRate); this.quiet = 0; } } return true; } })";

async function listen() {
  if (audio) return;
  audio = new AudioContext({ sampleRate: 48000 });
  await audio.audioWorklet.addModule(URL.createObjectURL(new Blob([EAR], { type: 'text/javascript' })));
  await audio.resume();
}

async function offer(connection, url, token, through = (sdp) => sdp) {
  await connection.setLocalDescription();
  const headers = { 'content-type': 'application/sdp', authorization: 'Bearer ' + token };
  const response = await fetch(url, { method: 'POST', headers, body: connection.localDescription.sdp });
  const sdp = await response.text();
  if (response.status !== 201) throw new Error(response.status + ' ' + sdp);
  await connection.setRemoteDescription({ type: 'answer', sdp: await through(sdp) });
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

async function show({ url, token, width, height, bits, layers, sound }) {
  const connection = new RTCPeerConnection();
  const picture = paint({ width: Number(width), height: Number(height) });
  const encodings = layers === '1' ? [{ maxBitrate: Number(bits) }] : [
    { rid: 'q', scaleResolutionDownBy: 2, maxBitrate: 400_000 },
    { rid: 'f', maxBitrate: Number(bits) },
  ];
  const transceiver = connection.addTransceiver(picture.track, { direction: 'sendonly', sendEncodings: encodings });
  const codecs = RTCRtpSender.getCapabilities('video').codecs;
  transceiver.setCodecPreferences(codecs.filter((it) => it.mimeType === 'video/VP8'));
  shown = { stop: () => (picture.stop(), connection.close()) };
  if (sound === '1') {
    await listen();
    const voice = await beep();
    connection.addTransceiver(voice.track, { direction: 'sendonly' });
    shown = { stop: () => (picture.stop(), voice.stop(), connection.close()) };
  }
  await offer(connection, url, token, fast);
  // A busy machine is to show late, and not small.
  const { sender } = transceiver;
  await sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' });
  return {};
}

/** The time in the picture that is seen, if it is there whole. */
function look(context, cell) {
  const row = context.getImageData(0, 0, context.canvas.width, 1).data;
  const cells = Array.from({ length: TIME + CHECK + 2 }, (_, at) => Number(row[Math.floor((at + 0.5) * cell) * 4] > 128));
  const time = cells.slice(0, TIME).reduce((sum, bit) => sum * 2 + bit, 0);
  return mean(time).join() === cells.join() ? time : null;
}

function read(connection, seen) {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const next = () => {
    if (connection.connectionState === 'closed') return;
    video.requestVideoFrameCallback(next);
    const cell = video.videoWidth / CELLS;
    if (canvas.width !== video.videoWidth) canvas.width = video.videoWidth;
    context.drawImage(video, 0, -Math.floor(cell / 2));
    const time = look(context, cell);
    const now = performance.now();
    seen.first ??= now;
    seen.width = video.videoWidth;
    if (time === null) seen.bad += 1;
    else seen.delays.push(now - time);
  };
  video.requestVideoFrameCallback(next);
}

function hear(stream, seen) {
  const ear = new AudioWorkletNode(audio, 'ear', { numberOfOutputs: 0 });
  ear.port.onmessage = ({ data: heard }) => {
    const said = beeps.findLast((at) => at <= heard);
    if (said) seen.heard.push((heard - said) * 1000);
  };
  new MediaStreamAudioSourceNode(audio, { mediaStream: stream }).connect(ear);
}

async function watch({ url, token, sound }) {
  leave();
  if (sound === '1') await listen();
  const began = performance.now();
  const connection = new RTCPeerConnection();
  connection.addTransceiver('video', { direction: 'recvonly' });
  if (sound === '1') connection.addTransceiver('audio', { direction: 'recvonly' });
  seen = { connection, delays: [], heard: [], bad: 0, width: 0, first: null };
  const stream = new MediaStream();
  connection.ontrack = ({ track, streams }) => {
    video.srcObject = streams[0] ?? stream;
    stream.addTrack(track);
    if (track.kind === 'audio') hear(new MediaStream([track]), seen);
  };
  read(connection, seen);
  await offer(connection, url, token, (sdp) => through(sdp));
  while (!seen.first) await sleep(5);
  return { first_ms: seen.first - began };
}

async function wide({ pixels }) {
  while (seen.width !== Number(pixels)) await sleep(20);
  return {};
}

function percentiles(name, delays) {
  const sorted = [...delays].sort((one, other) => one - other);
  const of = (share) => Math.round(1000 * (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0));
  return { [name + 'p50_us']: of(0.5), [name + 'p95_us']: of(0.95), [name + 'p99_us']: of(0.99), [name + 'max_us']: of(1) };
}

async function collect({ seconds }) {
  Object.assign(seen, { delays: [], heard: [], bad: 0 });
  await sleep(seconds * 1000);
  const { delays, heard, bad, width } = seen;
  return { count: delays.length, bad, width, ...percentiles('', delays), heard: heard.length, ...percentiles('sound_', heard) };
}

function leave() {
  seen?.connection.close();
  video.srcObject = null;
  return {};
}

function hide() {
  shown.stop();
  return {};
}

globalThis.tell = (what, rest) => ({ show, watch, wide, read: collect, leave, hide })[what](rest);
</script>`;

let capacity = Infinity;

/** A link to that address, whose port is returned: what comes from there waits its turn, and what finds a full queue is lost. */
async function link(address, port) {
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

/** The answer with one candidate: a link to the first that it names. */
async function through(sdp) {
  const candidate = /^a=candidate:(\S+ 1 udp \d+) ([\d.]+) (\d+) typ host.*$/im;
  const [, head, address, port] = candidate.exec(sdp);
  const rest = sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate:') && line !== 'a=end-of-candidates');
  const at = rest.findIndex((line) => line.startsWith('a=ice-ufrag:'));
  rest.splice(at, 0, `a=candidate:${head} 127.0.0.1 ${await link(address, Number(port))} typ host`);
  return rest.join('\r\n');
}

const files = await serve((path) => (path === '/' ? { type: 'text/html', body: PAGE } : null));
// aiortc's relay says nothing of other origins.
const browser = await launch(['--disable-web-security']);
const page = await browser.newPage();
page.on('console', (line) => process.stderr.write(`${line.type()}: ${line.text()}\n`));
await page.exposeFunction('through', through);
await page.goto(files.origin);
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...rest] = line.split(' ');
  const told = Object.fromEntries(rest.map((part) => part.split('=')));
  if (what === 'end') break;
  if (what === 'link') capacity = Number(told.bits);
  const answer = what === 'link' ? {} : await page.evaluate(([one, other]) => globalThis.tell(one, other), [what, told]);
  console.log([what, ...Object.entries(answer).map(([name, value]) => `${name}=${value}`)].join(' '));
}
await browser.close();
process.exit();
