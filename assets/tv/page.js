// World TV: the world's picture, its sound, and who is there. In Discord it is an Activity, where there is no WebRTC: all comes by one WebSocket. Elsewhere
// it is a page with a token behind "#" of its address, which plays by WebRTC if it can, and else as in Discord.
import { People } from './people.js';
import { Picture } from './picture.js';
import { reason } from './reasons.js';
import { Socket } from './socket.js';
import { Sound } from './sound.js';
import { ticket } from './ticket.js';
import { Whep } from './whep.js';

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const inDiscord = query.has('frame_id');

/** Without a new picture for so long, it is said that it stands still. Milliseconds. */
const STILL = 3_000;

/** Discord may give another token for one that is over; not without end. Milliseconds. */
const RENEWED = 60_000;

const ANEW = 'Ask for a new one in Discord, with /watch.';

const STATES = {
  connecting: () => 'Connecting …',
  waiting: () => {
    if (!air) return 'Nobody shows a picture of the world just now. It appears here as soon as somebody does.';
    if (takes().includes(air)) return 'The picture is on its way …';
    return `The picture is ${NAMES[air] ?? air}, which ${inDiscord ? 'Discord does not show on this device. Try it on a computer' : 'this browser does not show. Try Chrome, Edge or Safari'}.`;
  },
  paused: () => 'This browser starts no picture by itself.',
  still: () => 'The picture stands still. It goes on by itself.',
  live: () => 'Live',
  lost: () => 'Connecting again …',
  refused: () => 'World TV cannot be shown.',
};

const NAMES = { H264: 'H.264 video', VP8: 'VP8 video', JPEG: 'JPEG' };

let state = 'connecting';
/** Which beginning it is: one that is no longer the newest goes no further. */
let turn = 0;
let socket = null;
let whep = null;
/** In Discord: what speaks with it, once that is there. The SDK is loaded beside everything else, and nowhere but there. */
let activity = null;
let entering = null;
let renewed = -Infinity;
/** How often the connection was lost since it was there. */
let losses = 0;
/** Where what is seen comes from: 'webrtc' or 'socket'. */
let way = 'socket';
let shownAt = null;
let drawnAt = null;
let soundOn = false;
/** The browser plays the `<video>` only when somebody presses something, as an iPhone that saves power does. */
let held = false;
let codecs = [];
/** Of what kind the picture is that is on air, as the portal calls it; null: nobody shows one; undefined: it has not said so yet. */
let air;

const people = new People();
const sound = new Sound();
const picture = new Picture($('canvas'), () => sound.now(), (what, codec) => {
  if (what === 'key') socket?.say({ op: 'key' });
  if (what === 'unable') {
    codecs = codecs.filter((it) => it !== codec);
    socket?.again();
  }
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

/** `again`: whether trying again may help. */
function show(next, error = '', again = next === 'lost') {
  state = next === 'waiting' && held ? 'paused' : next;
  document.body.dataset.state = state;
  for (const [id, text] of [['state', STATES[state]()], ['error', error]]) {
    // Text that did not change is not read out again.
    if ($(id).textContent !== text) $(id).textContent = text;
  }
  $('error').hidden = error === '';
  // The button that was pressed is gone.
  if (!again && document.activeElement === $('again')) $('stage').focus();
  $('again').hidden = !again;
  $('play').hidden = state !== 'paused';
}

/** A picture was shown. Of whoever has gone, one may come late. */
function seen() {
  if (air === null) return;
  shownAt = performance.now();
  if (['connecting', 'waiting', 'paused', 'still', 'lost'].includes(state)) show('live');
}

/** What can be shown, whichever way it comes. */
function takes() {
  if (way === 'socket') return [...codecs, 'JPEG'];
  const known = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  return [...known.map(({ mimeType }) => mimeType.replace('video/', '')), 'JPEG'];
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
    return { token, video: bySocket ? takes() : ['JPEG'], audio: bySocket && soundOn };
  };
  socket = new Socket(url, hello, heard);
}

/** What the socket tells. */
function heard(what, value) {
  switch (what) {
    case 'open':
      losses = 0;
      air = undefined;
      picture.flush();
      sound.flush();
      if (document.hidden) socket.say({ op: 'pause' });
      break;
    case 'word': word(value); break;
    case 'frame':
      if (value.kind === 1) picture.take(value);
      if (value.kind === 2) sound.play(value.pts, value.data);
      if (value.kind === 3) picture.whole(value);
      break;
    case 'lost':
      losses += 1;
      if (value.code === 1006) follow();
      people.quiet();
      if (way === 'socket' || state !== 'live') show('lost', why(value) || (losses > 1 ? 'The portal does not answer. This page goes on by itself when it does.' : ''));
      break;
    case 'refused':
      // In Discord there may be another token. One that is refused again at once would be asked for without end.
      if (activity && value.code === 4401 && performance.now() - renewed > RENEWED) {
        renewed = performance.now();
        begin(true);
        break;
      }
      refuse(why(value) || `The portal has ended it (${value.code}).`);
      break;
  }
}

/** Another bridge may have the portal by now, on another host. This page's address leads there; of a WebSocket browsers follow no redirect. */
async function follow() {
  // There the address is Discord's.
  if (inDiscord) return;
  const mine = turn;
  const answer = await fetch(location.href, { redirect: 'manual' }).catch(() => null);
  if (mine === turn && answer?.type === 'opaqueredirect') location.reload();
}

function why({ error }) {
  return error ? reason(error, ANEW) : '';
}

/** It is over until somebody does something about it: in Discord, or on a page that was loaded, that may be to try again. */
function refuse(error, again = inDiscord) {
  stop();
  show('refused', error, again);
}

function word(value) {
  switch (value.op) {
    case 'video': picture.codec = value.codec; break;
    case 'air':
      air = value.picture;
      if (state === 'waiting' || (air === null && ['live', 'still'].includes(state))) show('waiting');
      break;
    case 'people':
      who(value);
      // It comes behind `air` at first.
      if (['connecting', 'lost'].includes(state)) show('waiting');
      break;
    case 'speaking': people.speaks(value.id, value.speaking); break;
  }
}

/** Who is there. */
function who({ world, call, more }) {
  document.body.classList.add('known');
  people.show([[$('world'), world], [$('call'), call]]);
  $('no-world').hidden = world.length > 0;
  $('no-call').hidden = call.length > 0;
  $('more').hidden = more === 0;
  $('more').textContent = more ? `and ${more} more` : '';
  $('count').textContent = String(world.length + call.length + more);
}

/** By WebRTC, or not at all. */
function webrtc(url, token) {
  const player = new Whep(token, url, $('video'), (what) => {
    if (whep !== player) return;
    if (what === 'ended') return bySocket();
    face('video');
    play();
    const each = () => {
      if (whep !== player) return;
      held = false;
      face('video');
      seen();
      $('video').requestVideoFrameCallback(each);
    };
    $('video').requestVideoFrameCallback(each);
  });
  whep = player;
}

/** A `<video>` that may not begin by itself waits for somebody who presses "Play". */
function play() {
  held = false;
  $('video').play().catch((error) => {
    if (error.name !== 'NotAllowedError' || !whep) return;
    held = true;
    if (['waiting', 'live', 'still'].includes(state)) show('waiting');
  });
}

/** From now on all comes by the socket. */
function bySocket() {
  held = false;
  whep?.end();
  whep = null;
  way = 'socket';
  $('video').srcObject = null;
  face('canvas');
  if (soundOn) sound.start().catch(silent);
  socket?.again();
}

function stop() {
  turn += 1;
  socket?.close();
  socket = null;
  whep?.end();
  whep = null;
  air = undefined;
  held = false;
  losses = 0;
  picture.flush();
  sound.flush();
  people.quiet();
}

async function begin(anew = false) {
  stop();
  const mine = turn;
  show('connecting');
  try {
    const [known, discord] = await Promise.all([Picture.codecs(), inDiscord ? join(anew) : null]);
    if (mine !== turn) return;
    codecs = known;
    if (discord) {
      way = 'socket';
      listen(address(`${discord.portal}/tv`), () => activity.pass());
    } else {
      const { token, said: { portal } } = ticket(ANEW);
      document.title = `${portal} | World TV`;
      const able = 'RTCPeerConnection' in globalThis && 'requestVideoFrameCallback' in HTMLVideoElement.prototype;
      way = able && query.get('by') !== 'websocket' ? 'webrtc' : 'socket';
      listen(address('../tv'), async () => ({ token }));
      if (way === 'webrtc') webrtc(address('../whep'), token);
    }
  } catch (error) {
    if (mine === turn) refuse(error.message);
  }
}

/** What Discord gives: `{portal, token}`. */
async function join(anew) {
  // Of two SDKs in a page each would hear the other's answers.
  entering ??= enter();
  try {
    activity = await entering;
  } catch (error) {
    entering = null;
    throw error;
  }
  return activity.pass(anew);
}

async function enter() {
  const { Activity } = await import('./activity.js');
  const came = await Activity.begin();
  came.follow((small) => document.body.classList.toggle('small', small));
  return came;
}

function silent(error) {
  soundOn = false;
  $('note').textContent = way === 'webrtc' || Sound.possible ? `This browser plays no sound: ${error.message}` : 'This browser cannot play the sound. Try another one.';
  showSound();
}

function showSound() {
  $('sound').setAttribute('aria-pressed', String(soundOn));
  $('sounds').textContent = soundOn ? ' on' : ' off';
  $('loud').hidden = !soundOn;
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
    return silent(error);
  }
  showSound();
  return undefined;
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
$('play').addEventListener('click', () => {
  play();
  show('waiting');
  $('stage').focus();
});
$('volume').addEventListener('input', () => {
  const volume = $('volume').value / 100;
  sound.volume = volume;
  $('video').volume = volume;
});
// One that is held has its first picture, and no other.
$('video').addEventListener('loadeddata', () => held || seen());
document.addEventListener('fullscreenchange', () => $('full').setAttribute('aria-pressed', String(document.fullscreenElement !== null)));
document.addEventListener('visibilitychange', () => {
  if (document.hidden) {
    picture.flush();
    sound.flush();
    socket?.say({ op: 'pause' });
  } else {
    shownAt = performance.now();
    socket?.say({ op: 'start' });
    socket?.wake();
  }
});
addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  if (event.key === 'm') turnSound();
  if (event.key === 'p') turnPeople();
  if (event.key === 'f') turnFull();
});
addEventListener('online', () => socket?.hurry());
addEventListener('hashchange', () => begin());
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
