// Shares camera or screen in a portal. The token is in the address, behind "#", which is sent to nobody. Nothing is sent before "Go on air".
import { Whip } from './whip.js';

const $ = (id) => document.getElementById(id);

let stream = null;
/** What `stream` is of: "camera" or "screen". */
let kind = 'camera';
let whip = null;
let air = { on_air: false, viewers: 0 };
let trouble = '';
let said = { portal: 'the portal' };

/** The token of the address; throws what is wrong with it, for people. */
function ticket() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) throw new Error('This address has no token. Open the whole link that you were given, with what comes after “#”.');
  try {
    const [, body] = token.split('.');
    const bytes = Uint8Array.from(atob(body.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
    said = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error('The token in this address is damaged. Open the whole link that you were given.');
  }
  if (said.exp * 1000 < Date.now()) throw new Error('This link is over. Ask for a new one in Discord: /share');
  return token;
}

const WORDS = { camera: 'camera', screen: 'screen', microphone: 'microphone' };

function refusal(what, error) {
  switch (error.name) {
    case 'NotAllowedError':
      return what === 'screen' ? 'No screen was chosen, or this page may not have it.' : `This page may not use the ${WORDS[what]}. Allow it beside the address, and try again.`;
    case 'NotFoundError': return `There is no ${WORDS[what]}.`;
    case 'NotReadableError': return `The ${WORDS[what]} is in use by another program. Close that, and try again.`;
    default: return `The ${WORDS[what]} cannot be used: ${error.message}`;
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
  trouble = '';
  show('asking');
  try {
    stream = what === 'screen' ? await screen(sound === 'screen') : await camera({ facingMode: 'user' });
    kind = what;
    if (sound === 'microphone') for (const track of (await microphone()).getTracks()) stream.addTrack(track);
    const [picture] = stream.getVideoTracks();
    picture.contentHint = what === 'screen' ? 'detail' : 'motion';
    stream.getTracks().forEach(follow);
    await list(picture);
    $('preview').srcObject = stream;
    show('preview', 'go');
  } catch (error) {
    close();
    trouble = error.message;
    show('choose', what);
  }
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
  try {
    const [picture] = (await camera({ deviceId: { exact: $('which').value } })).getVideoTracks();
    stream.removeTrack(before);
    stream.addTrack(picture);
    follow(picture);
    whip?.replace(picture);
    $('preview').srcObject = stream;
  } catch (error) {
    over(error.message);
  }
}

function go() {
  try {
    const token = ticket();
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
    case 'lost': air = { on_air: false, viewers: 0 }; trouble = value; show('lost'); break;
    case 'over': over(why(value)); break;
  }
}

function why({ error, message }) {
  switch (error) {
    case 'stopped': return 'A moderator has ended this. Nobody sees you.';
    case 'no_portal': return 'The portal is closed. Nobody sees you.';
    case 'gave_up': return `The portal could not be reached for two minutes (${message}). Nobody sees you.`;
    case 'token_expired': return 'This link is over. Ask for a new one in Discord: /share';
    default: return `The portal does not take this: ${message}`;
  }
}

/** Camera and microphone are off after it. */
function close() {
  whip?.stop();
  whip = null;
  for (const track of stream?.getTracks() ?? []) {
    track.onended = track.onmute = track.onunmute = null;
    track.stop();
  }
  stream = null;
  $('preview').srcObject = null;
  air = { on_air: false, viewers: 0 };
}

function over(message) {
  close();
  trouble = message;
  show('ended', 'again');
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
    : `Somebody else is on air in ${said.portal}. Nobody sees you until a moderator changes that${heard() ? ', but you are heard' : ''}.`),
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
  const muted = inside && stream?.getVideoTracks()[0]?.muted;
  $('paused').hidden = !muted;
  write('paused', muted ? 'Your browser has paused the picture: others see the last of it.' : '');
  const may = Boolean(devices) && !fatal;
  $('choice').hidden = !['choose', 'asking'].includes(state) || !may;
  for (const id of ['camera', 'screen']) $(id).disabled = state === 'asking';
  $('notice').hidden = !['choose', 'asking', 'preview'].includes(state) || !may;
  $('cameras').hidden = !inside || kind !== 'camera' || $('which').options.length < 2;
  $('go').hidden = $('back').hidden = state !== 'preview';
  $('stop').hidden = !['joining', 'live', 'lost'].includes(state);
  $('again').hidden = state !== 'ended';
  // The button that was pressed is gone.
  if (focus) $(focus).focus();
}

/** Nothing can be done with this address, or this browser. */
let fatal = false;

function greet() {
  close();
  trouble = '';
  fatal = false;
  try {
    ticket();
    if (!devices) throw new Error('Browsers give camera and screen only to pages by https, or from this machine.');
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
addEventListener('hashchange', greet);
addEventListener('pagehide', close);
greet();
