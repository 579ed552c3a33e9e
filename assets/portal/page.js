// The portal's page: joins the call with the microphone, or to listen only. The token is in the address, behind "#", which is
// sent to nobody.
import { Session } from './session.js';
import { Level } from './level.js';

const $ = (id) => document.getElementById(id);

let session = null;
let microphone = null;
let people = [];
const speaking = new Set();
/** Why the last connection ended, until there is another. */
let trouble = '';
const sent = new Level();
const heard = new Level();

/** What a token says of itself; it is the portal that checks it. */
function claims(token) {
  const [, body] = token.split('.');
  const bytes = Uint8Array.from(atob(body.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** The token of the address and what it says; throws what is wrong with it, for people. */
function ticket() {
  const token = decodeURIComponent(location.hash.slice(1));
  if (!token) throw new Error('This address has no token. Open the whole link that you were given, with what comes after “#”.');
  let said;
  try {
    said = claims(token);
  } catch {
    throw new Error('The token in this address is damaged. Open the whole link that you were given.');
  }
  if (said.exp * 1000 < Date.now()) {
    throw new Error(`This link expired on ${new Date(said.exp * 1000).toLocaleString()}. Ask for a new one.`);
  }
  return { token, said };
}

const MICROPHONE_ERRORS = {
  NotAllowedError: 'This page may not use the microphone. Allow it beside the address, and join again; or listen only.',
  NotFoundError: 'There is no microphone. Plug one in, and join again; or listen only.',
  NotReadableError: 'The microphone is in use by another program. Close that, and join again; or listen only.',
};

async function openMicrophone() {
  if (!navigator.mediaDevices) throw new Error('Browsers give the microphone only to pages by https, or from this machine. You can listen only.');
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
    return stream.getAudioTracks()[0];
  } catch (error) {
    throw new Error(MICROPHONE_ERRORS[error.name] ?? `The microphone cannot be used: ${error.message}`);
  }
}

async function join(withMicrophone) {
  leave();
  show('joining');
  try {
    const { token } = ticket();
    microphone = withMicrophone ? await openMicrophone() : null;
    if (microphone) {
      sent.follow(new MediaStream([microphone]));
      microphone.onended = () => fail('The microphone was unplugged. Join again with another one, or listen only.');
    }
    session = new Session(token, microphone, hear);
  } catch (error) {
    fail(error.message);
  }
}

function leave() {
  session?.leave();
  session = null;
  microphone?.stop();
  microphone = null;
  sent.stop();
  heard.stop();
  people = [];
  speaking.clear();
  trouble = '';
  $('mute').setAttribute('aria-pressed', 'false');
  $('voices').srcObject = null;
  show('idle');
}

function fail(message) {
  leave();
  trouble = message;
  show('failed');
}

/** What happens in the session. */
function hear(what, value) {
  switch (what) {
    case 'joined': trouble = ''; show('joined'); break;
    case 'people': people = value; show(); break;
    case 'speaking': speaking[value.speaking ? 'add' : 'delete'](value.id); show(); break;
    case 'stream':
      $('voices').srcObject = value;
      $('voices').play().catch((error) => fail(`The browser plays no sound: ${error.message}`));
      heard.follow(value);
      break;
    case 'lost':
      speaking.clear();
      trouble = value;
      show('lost');
      break;
    case 'refused':
      fail([401, 403].includes(value.status) ? `The portal does not accept this link (${value.message}). Ask for a new one.` : value.message);
      break;
  }
}

function mute() {
  if (!microphone) return;
  microphone.enabled = !microphone.enabled;
  $('mute').setAttribute('aria-pressed', String(!microphone.enabled));
  show();
}

const STATES = {
  idle: 'Not connected',
  failed: 'Not connected',
  joining: 'Connecting …',
  joined: 'In the call',
  lost: 'Connecting again …',
};

function show(state = document.body.dataset.state) {
  const inside = !['idle', 'failed'].includes(state);
  document.body.dataset.state = state;
  const how = state === 'joined' && !microphone ? ', listening' : state === 'joined' && !microphone.enabled ? ', muted' : '';
  $('state').textContent = STATES[state] + how;
  $('error').textContent = trouble;
  $('error').hidden = trouble === '';
  for (const id of ['join', 'listen']) $(id).hidden = inside;
  for (const id of ['leave', 'sound']) $(id).hidden = !inside;
  for (const id of ['mute', 'own']) $(id).hidden = !inside || !microphone;
  $('call').hidden = state !== 'joined';
  $('nobody').hidden = people.length > 0;
  $('people').replaceChildren(...people.map(person));
}

function person({ id, name }) {
  const row = document.createElement('li');
  const called = document.createElement('span');
  const doing = document.createElement('span');
  called.textContent = name;
  doing.textContent = speaking.has(id) ? 'speaks' : '';
  row.classList.toggle('speaking', speaking.has(id));
  row.append(called, doing);
  return row;
}

/** Whose call this is, and as whom one joins it. */
function greet() {
  leave();
  try {
    const { said } = ticket();
    $('portal').textContent = said.name ? `${said.portal}, as ${said.name}` : said.portal;
    document.title = `${said.portal} | Portal`;
  } catch (error) {
    fail(error.message);
  }
}

function measure() {
  $('sent').value = microphone?.enabled ? sent.now() : 0;
  $('heard').value = heard.now();
  requestAnimationFrame(measure);
}

$('join').addEventListener('click', () => join(true));
$('listen').addEventListener('click', () => join(false));
$('leave').addEventListener('click', leave);
$('mute').addEventListener('click', mute);
$('volume').addEventListener('input', () => { $('voices').volume = $('volume').value / 100; });
addEventListener('keydown', (event) => {
  if (event.key === 'm' && !event.ctrlKey && !event.metaKey && !event.altKey) mute();
});
addEventListener('hashchange', greet);
addEventListener('pagehide', leave);
greet();
measure();
