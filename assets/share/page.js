// Shares camera or screen in a portal. The token is in the address, behind "#", which is sent to nobody. Nothing is sent before "Go on air".
import { reason, spent } from './reasons.js';
import { moved, ticket } from './ticket.js';
import { Whip } from './whip.js';

const $ = (id) => document.getElementById(id);

let stream = null;
/** What `stream` is of: "camera" or "screen". */
let kind = 'camera';
let whip = null;
let air = { on_air: false, viewers: 0 };
let trouble = '';
/** A camera that comes when it is wanted no longer is of another turn. */
let turn = 0;
let said = { portal: 'the portal' };

const ANEW = 'Ask for a new one in Discord, with /share.';

/** The token of the address; throws what is wrong with it, for people. */
function pass() {
  const { token, said: claims } = ticket(ANEW);
  said = claims;
  return token;
}

function refusal(what, error) {
  switch (error.name) {
    case 'NotAllowedError':
      return what === 'screen' ? 'No screen was chosen. Choose again; if your browser asks nothing, allow it beside the address.' : `This page may not use the ${what}. Allow it beside the address, and try again.`;
    case 'NotFoundError': return `There is no ${what}. Plug one in, and try again.`;
    case 'NotReadableError': return `The ${what} is in use by another program. Close that, and try again.`;
    default: return `The ${what} cannot be used: ${error.message}`;
  }
}

async function open(what, ask) {
  try {
    return await ask();
  } catch (error) {
    throw new Error(refusal(what, error));
  }
}

const SIZE = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } };
const devices = navigator.mediaDevices;
const camera = (more) => open('camera', () => devices.getUserMedia({ video: { ...SIZE, ...more } }));
const microphone = () => open('microphone', () => devices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } }));
const screen = (audio) => open('screen', () => devices.getDisplayMedia({ video: { width: { max: 1920 }, height: { max: 1080 }, frameRate: { max: 30 } }, audio }));

/** Lets the person choose, and shows him what it is. */
async function choose(what) {
  const sound = document.querySelector('[name="sound"]:checked').value;
  close();
  const mine = turn;
  trouble = '';
  show('asking');
  try {
    const opened = what === 'screen' ? await screen(sound === 'screen') : await camera({ facingMode: 'user' });
    if (mine !== turn) return end(opened);
    stream = opened;
    kind = what;
    if (sound === 'microphone') {
      const voice = await microphone();
      if (mine !== turn) return end(voice);
      for (const track of voice.getTracks()) stream.addTrack(track);
    }
    const [picture] = stream.getVideoTracks();
    picture.contentHint = what === 'screen' ? 'detail' : 'motion';
    stream.getTracks().forEach(follow);
    await list(picture);
    if (mine !== turn) return undefined;
    $('preview').srcObject = stream;
    show('preview', 'go');
  } catch (error) {
    if (mine !== turn) return undefined;
    close();
    trouble = error.message;
    show('choose', what);
  }
  return undefined;
}

/** The browser ends tracks too: a screen's by a button of its own, a camera's when it is unplugged. */
function follow(track) {
  track.onended = () => {
    const what = track.kind === 'audio' ? 'The microphone' : kind === 'screen' ? 'The screen' : 'The camera';
    over(kind === 'screen' && track.kind === 'video' ? 'You have ended sharing the screen.' : `${what} is gone.`);
  };
  track.onmute = track.onunmute = () => show();
}

/** Which cameras there are, if there is a choice. */
async function list(picture) {
  const all = kind === 'camera' ? (await devices.enumerateDevices()).filter((device) => device.kind === 'videoinput') : [];
  const { deviceId } = picture.getSettings();
  $('which').replaceChildren(...all.map((device, at) => new Option(device.label || `Camera ${at + 1}`, device.deviceId, false, device.deviceId === deviceId)));
}

async function change() {
  const [before] = stream.getVideoTracks();
  // Phones open one at a time.
  before.onended = before.onmute = null;
  before.stop();
  const mine = turn;
  try {
    const opened = await camera({ deviceId: { exact: $('which').value } });
    if (mine !== turn) return end(opened);
    const [picture] = opened.getVideoTracks();
    stream.removeTrack(before);
    stream.addTrack(picture);
    follow(picture);
    whip?.replace(picture);
    $('preview').srcObject = stream;
  } catch (error) {
    if (mine === turn) over(error.message);
  }
  return undefined;
}

function go() {
  try {
    const token = pass();
    trouble = '';
    air = { on_air: false, viewers: 0 };
    whip = new Whip(token, stream, kind, hear);
    show('joining', 'stop');
  } catch (error) {
    over(error.message);
  }
}

/** What happens to the connection. */
function hear(what, value) {
  switch (what) {
    case 'air': air = value; trouble = ''; show('live'); break;
    case 'lost':
      air = { on_air: false, viewers: 0 };
      trouble = typeof value === 'string' ? value : reason(value, ANEW);
      show('lost');
      break;
    case 'over': over(why(value), spent(value)); break;
  }
}

function why({ error, message }) {
  switch (error) {
    case 'stopped': return 'A moderator has ended this. Nobody sees you. Ask one to allow it again.';
    case 'no_portal': return 'The portal is closed. Nobody sees you.';
    case 'gave_up': return `The portal could not be reached for two minutes (${message}). Nobody sees you.`;
    default: return reason({ error, message }, ANEW);
  }
}

function end(opened) {
  for (const track of opened?.getTracks() ?? []) {
    track.onended = track.onmute = track.onunmute = null;
    track.stop();
  }
}

/** Camera and microphone are off after it. */
function close() {
  turn += 1;
  whip?.stop();
  whip = null;
  end(stream);
  stream = null;
  $('preview').srcObject = null;
  air = { on_air: false, viewers: 0 };
}

/** `done`: with this link nothing will go on. */
function over(message, done = false) {
  close();
  fatal = done;
  trouble = message;
  show('ended', done ? null : 'again');
}

function stop() {
  close();
  trouble = '';
  show('ended', 'again');
}

function back() {
  close();
  trouble = '';
  show('choose', kind);
}

/** Sound is heard whoever is on air. */
const heard = () => (stream?.getAudioTracks().length ?? 0) > 0;
const people = (number) => (number === 1 ? '1 person sees' : `${number} people see`);

const STATES = {
  choose: () => 'Nobody sees you.',
  asking: () => 'Your browser asks you …',
  preview: () => `Nobody sees you yet. This is what will be seen${heard() ? ', and you will be heard' : ''}.`,
  joining: () => 'Connecting …',
  live: () => (air.on_air
    ? `You are on air in ${said.portal}${heard() ? ', and you are heard' : ''}.`
    : `Somebody else is on air in ${said.portal}. Nobody sees you now${heard() ? ', but you are heard' : ''}. You are on air as soon as they stop, or when a moderator chooses you.`),
  lost: () => 'Connecting again …',
  ended: () => 'You share nothing. Camera and microphone are off.',
};

const SEEN = {
  preview: () => 'Preview',
  joining: () => 'Connecting …',
  live: () => (air.on_air ? `On air: ${people(air.viewers)} you` : 'Not on air'),
  lost: () => 'Not seen just now',
};

/** Text that did not change is not read out again. */
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function show(state = document.body.dataset.state, focus = null) {
  const inside = state in SEEN;
  document.body.dataset.state = state;
  document.body.dataset.air = state === 'live' && air.on_air ? 'yes' : 'no';
  document.title = `${document.body.dataset.air === 'yes' ? '● On air | ' : ''}${said.portal} | Share`;
  write('state', STATES[state]());
  write('error', trouble);
  $('error').hidden = trouble === '';
  write('seen', inside ? SEEN[state]() : '');
  $('picture').hidden = !inside;
  // A screen on which nothing moves is muted too, and is seen.
  const muted = inside && kind === 'camera' && stream?.getVideoTracks()[0]?.muted;
  $('paused').hidden = !muted;
  write('paused', muted ? 'Your browser has paused the picture: others see the last of it.' : '');
  const may = Boolean(devices) && !fatal;
  $('choice').hidden = !['choose', 'asking'].includes(state) || !may;
  for (const id of ['camera', 'screen']) $(id).disabled = state === 'asking';
  $('notice').hidden = !['choose', 'asking', 'preview'].includes(state) || !may;
  $('cameras').hidden = !inside || kind !== 'camera' || $('which').options.length < 2;
  $('go').hidden = $('back').hidden = state !== 'preview';
  $('stop').hidden = !['joining', 'live', 'lost'].includes(state);
  $('again').hidden = state !== 'ended' || fatal;
  // The button that was pressed is gone.
  if (focus) $(focus).focus();
}

/** Nothing can be done with this address, or this browser. */
let fatal = false;

function greet(doing = '') {
  close();
  trouble = '';
  fatal = false;
  try {
    pass();
    if (!devices) throw new Error('Browsers give camera and screen only to pages by https, or from this machine.');
    // A browser gives a page that was loaded anew no screen by itself, and nobody is on air unaware.
    if (doing === 'sharing') trouble = 'The portal has moved to another server, and nobody sees you now. Choose again.';
  } catch (error) {
    fatal = true;
    trouble = error.message;
  }
  write('portal', `Share in ${said.portal}`);
  if (said.name) write('name', said.name);
  show('choose');
}

const screens = typeof devices?.getDisplayMedia === 'function';
$('screen').hidden = $('screen-sound').hidden = !screens;
$('no-screen').hidden = screens || !devices;
$('camera').addEventListener('click', () => choose('camera'));
$('screen').addEventListener('click', () => choose('screen'));
$('which').addEventListener('change', change);
$('go').addEventListener('click', go);
$('back').addEventListener('click', back);
$('stop').addEventListener('click', stop);
$('again').addEventListener('click', back);
addEventListener('hashchange', () => greet());
addEventListener('pagehide', close);
greet(moved());
