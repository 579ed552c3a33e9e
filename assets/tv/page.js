// World TV: the world's picture, its sound, and who is there. In Discord it is an Activity, where there is no WebRTC: all comes by one WebSocket. Elsewhere
// it is a page with a token behind "#" of its address, which plays by WebRTC if it can, and else as in Discord.
import * as people from './people.js';
import { Picture } from './picture.js';
import { Socket } from './socket.js';
import { Sound } from './sound.js';
import { Whep } from './whep.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const inDiscord = query.has('frame_id');

/** Without a new picture for so long, it is said that it stands still. Milliseconds. */
const STILL = 3_000;

const STATES = {
  connecting: 'Connecting …',
  waiting: 'Nobody shows a picture of the world. You see it here as soon as somebody does.',
  still: 'The picture stands still. It goes on by itself.',
  live: 'Live',
  lost: 'Connecting again …',
  refused: 'World TV cannot be shown.',
};

/** What programs call it, for people. */
const REASONS = {
  token_expired: 'This link has expired. Ask for a new one.',
  bad_token: 'This link is not accepted. Ask for a new one.',
  other_role: 'This link is not for watching. Ask for another one.',
  other_portal: 'This link is for another portal. Ask for another one.',
  no_portal: 'The portal is not open. It is tried again by itself.',
  portal_full: 'There are as many viewers as there may be. It is tried again by itself.',
  token_in_use: 'This link is open too often already. Close it elsewhere; it is tried again by itself.',
  too_many_of_yours: 'You are here as often as one may be. Close it elsewhere; it is tried again by itself.',
  too_many_peers: 'There are too many viewers from your network. It is tried again by itself.',
  too_often: 'That was too often. It is tried again by itself.',
};

let state = 'connecting';
let socket = null;
let whep = null;
let activity = null;
let renewed = -Infinity;
/** Where what is seen comes from: 'webrtc' or 'socket'. */
let way = 'socket';
let shownAt = null;
let drawnAt = null;
let soundOn = false;
let codecs = [];

const sound = new Sound();
const picture = new Picture($('canvas'), () => sound.now(), (what) => {
  if (what === 'key') socket?.say({ op: 'key' });
  if (what === 'shown') {
    drawnAt = performance.now();
    face('canvas');
    seen();
  }
});

/** Pictures are drawn, or a `<video>` plays them. */
function face(shown) {
  for (const id of ['canvas', 'video']) $(id).hidden = id !== shown;
}

function show(next, error = '') {
  if (next !== state) {
    state = next;
    document.body.dataset.state = next;
    $('state').textContent = STATES[next];
  }
  if ($('error').textContent !== error) $('error').textContent = error;
  $('error').hidden = error === '';
  $('again').hidden = !['refused', 'lost'].includes(next);
}

/** A picture was shown. */
function seen() {
  shownAt = performance.now();
  if (['connecting', 'waiting', 'still', 'lost'].includes(state)) show('live');
}

/** What a token says of itself; it is the portal that checks it. */
function claims(token) {
  const bytes = Uint8Array.from(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The token of the address; throws what is wrong with it, for people. */
function ticket() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) throw new Error('This address has no token. Open the whole link that you were given, with what comes after “#”.');
  let said;
  try {
    said = claims(token);
  } catch {
    throw new Error('The token in this address is damaged. Open the whole link that you were given.');
  }
  if (said.exp * 1000 < Date.now()) throw new Error(REASONS.token_expired);
  return { token, portal: said.portal };
}

function address(path) {
  const url = new URL(path, location.href);
  url.search = url.hash = '';
  return url;
}

function listen(url, pass) {
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const hello = async () => {
    const { token } = await pass();
    const bySocket = way === 'socket';
    // WebRTC has no whole pictures, of which Godot's worlds are.
    return { token, video: [...(bySocket ? codecs : []), 'JPEG'], audio: bySocket && soundOn };
  };
  socket = new Socket(url, hello, heard);
}

/** What this browser cannot do, for people. */
function unable() {
  return way === 'socket' && codecs.length === 0 ? 'This browser decodes no video here. You see who is there, and worlds that send single pictures.' : '';
}

/** What the socket tells. */
function heard(what, value) {
  switch (what) {
    case 'open':
      picture.flush();
      sound.flush();
      if (document.hidden) socket.say({ op: 'pause' });
      if (state !== 'live') show('waiting', unable());
      break;
    case 'word': word(value); break;
    case 'frame':
      if (value.kind === 1) picture.take(value);
      if (value.kind === 2) sound.play(value.pts, value.data);
      if (value.kind === 3) picture.whole(value);
      break;
    case 'lost':
      people.quiet();
      if (way === 'socket' || state !== 'live') show('lost', reason(value.error));
      break;
    case 'refused':
      // In Discord there may be another token. One that is refused again at once would be asked for without end.
      if (activity && value.code === 4401 && performance.now() - renewed > 60_000) {
        renewed = performance.now();
        activity.pass(true).then(begin, (error) => show('refused', error.message));
        break;
      }
      stop();
      show('refused', reason(value.error) || `The portal ended the conversation (${value.code}).`);
      break;
  }
}

function reason(error) {
  return error ? (REASONS[error.error] ?? error.message ?? '') : '';
}

function word(value) {
  switch (value.op) {
    case 'video': picture.codec = value.codec; break;
    case 'people': people.show(value); break;
    case 'speaking': people.speaks(value.id, value.speaking); break;
  }
}

/** By WebRTC, or not at all. */
async function webrtc(url, token) {
  const player = new Whep(token);
  const back = () => {
    if (whep !== player) return;
    whep = null;
    player.close();
    bySocket();
  };
  whep = player;
  try {
    await player.play(url, $('video'), back);
    face('video');
    const each = () => {
      if (whep !== player) return;
      face('video');
      seen();
      $('video').requestVideoFrameCallback(each);
    };
    $('video').requestVideoFrameCallback(each);
  } catch {
    back();
  }
}

/** From now on all comes by the socket. */
function bySocket() {
  way = 'socket';
  $('video').srcObject = null;
  face('canvas');
  socket?.again();
}

function stop() {
  socket?.close();
  socket = null;
  whep?.close();
  whep = null;
  picture.flush();
  sound.flush();
  people.quiet();
}

async function begin() {
  stop();
  show('connecting');
  codecs = await Picture.codecs();
  try {
    if (inDiscord) {
      way = 'socket';
      if (!activity) {
        const { Activity } = await import('./activity.js');
        activity = await Activity.begin();
        await activity.follow((small) => document.body.classList.toggle('small', small));
      }
      const { portal } = await activity.pass();
      listen(address(`${portal}/tv`), () => activity.pass());
    } else {
      const { token, portal } = ticket();
      document.title = `${portal} | World TV`;
      const able = 'RTCPeerConnection' in globalThis && 'requestVideoFrameCallback' in HTMLVideoElement.prototype;
      way = able && query.get('by') !== 'websocket' ? 'webrtc' : 'socket';
      listen(address('../tv'), async () => ({ token }));
      if (way === 'webrtc') webrtc(address('../whep'), token);
    }
  } catch (error) {
    stop();
    show('refused', error.message);
  }
}

async function turnSound() {
  if ($('sound').hidden) return;
  soundOn = !soundOn;
  $('note').textContent = '';
  try {
    if (way === 'webrtc') {
      $('video').muted = !soundOn;
      if (soundOn) await $('video').play();
    } else {
      if (soundOn) await sound.start();
      else await sound.stop();
      socket?.again();
    }
  } catch (error) {
    soundOn = false;
    $('note').textContent = `The browser plays no sound: ${error.message}`;
  }
  $('sound').setAttribute('aria-pressed', String(soundOn));
  $('loud').hidden = !soundOn;
}

function turnPeople(there = !document.body.classList.contains('with-people')) {
  document.body.classList.toggle('with-people', there);
  $('who').setAttribute('aria-expanded', String(there));
}

async function turnFull() {
  if (document.fullscreenElement) await document.exitFullscreen();
  else await $('stage').requestFullscreen().catch(() => {});
}

$('sound').addEventListener('click', turnSound);
$('who').addEventListener('click', () => turnPeople());
$('full').addEventListener('click', turnFull);
$('again').addEventListener('click', () => {
  if (state === 'lost' && socket) socket.hurry();
  else begin();
});
$('volume').addEventListener('input', () => {
  const volume = $('volume').value / 100;
  sound.volume = volume;
  $('video').volume = volume;
});
$('video').addEventListener('loadeddata', seen);
document.addEventListener('fullscreenchange', () => $('full').setAttribute('aria-pressed', String(document.fullscreenElement !== null)));
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    picture.flush();
    sound.flush();
  }
  socket?.say({ op: document.hidden ? 'pause' : 'start' });
});
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  if (event.key === 'm') turnSound();
  if (event.key === 'p') turnPeople();
  if (event.key === 'f') turnFull();
});
addEventListener('online', () => socket?.hurry());
addEventListener('hashchange', begin);
addEventListener('pagehide', stop);
addEventListener('pageshow', ({ persisted }) => {
  if (persisted) begin();
});
setInterval(() => {
  // A video that is hidden may not tell of its pictures.
  if (whep && !$('canvas').hidden && performance.now() - drawnAt > STILL) face('video');
  if (state === 'live' && performance.now() - shownAt > STILL && !document.hidden) show('still');
}, 500);

// In Discord the voice call has the sound: here it would be heard twice.
$('sound').hidden = inDiscord;
$('full').hidden = !document.fullscreenEnabled || inDiscord;
turnPeople(!matchMedia('(max-height: 30rem)').matches);
begin();
