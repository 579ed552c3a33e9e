// The portal's page: joins the call with the microphone, or to listen only. The token is in the address, behind "#", which is
// sent to nobody.
import { Level } from './level.js';
import { People } from './people.js';
import { reason, spent } from './reasons.js';
import { Session } from './session.js';
import { moved, ticket } from './ticket.js';

const $ = (id) => document.getElementById(id);

let session = null;
let microphone = null;
let there = [];
const speaking = new Set();
const people = new People();
/** Which attempt to join it is: one that was given up goes no further. */
let turn = 0;
/** Why the last connection ended, until there is another. */
let trouble = '';
/** Nothing can be done with this address. */
let fatal = false;
const sent = new Level();
const heard = new Level();

const ANEW = 'Ask whoever gave it to you for a new one.';

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
  const mine = turn;
  show('joining', 'leave');
  try {
    const { token } = ticket(ANEW);
    const opened = withMicrophone ? await openMicrophone() : null;
    if (mine !== turn) return opened?.stop();
    microphone = opened;
    if (microphone) {
      sent.follow(new MediaStream([microphone]));
      microphone.onended = () => fail('The microphone was unplugged. Join again with another one, or listen only.');
    }
    session = new Session(token, microphone, hear);
  } catch (error) {
    if (mine === turn) fail(error.message);
  }
  return undefined;
}

function leave(focus) {
  turn += 1;
  session?.leave();
  session = null;
  microphone?.stop();
  microphone = null;
  sent.stop();
  heard.stop();
  there = [];
  speaking.clear();
  trouble = '';
  $('mute').setAttribute('aria-pressed', 'false');
  $('voices').srcObject = null;
  show('idle', focus);
}

function fail(message, focus = 'join') {
  leave();
  trouble = message;
  show('failed', focus);
}

/** What happens in the session. */
function hear(what, value) {
  switch (what) {
    case 'joined': trouble = ''; show('joined'); break;
    case 'people': there = value; show(); break;
    case 'speaking':
      speaking[value.speaking ? 'add' : 'delete'](value.id);
      people.speaks(value.id, value.speaking);
      break;
    case 'stream':
      $('voices').srcObject = value;
      $('voices').play().catch((error) => fail(`The browser plays no sound: ${error.message}. Join again.`));
      heard.follow(value);
      break;
    case 'lost':
      speaking.clear();
      people.quiet();
      trouble = typeof value === 'string' ? value : reason(value, ANEW);
      show('lost');
      break;
    case 'refused':
      fatal = spent(value);
      fail(reason(value, ANEW), fatal ? null : 'join');
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

/** Text that did not change is not read out again. */
function write(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

function show(state = document.body.dataset.state, focus = null) {
  const inside = !['idle', 'failed'].includes(state);
  document.body.dataset.state = state;
  const how = state === 'joined' && !microphone ? ', listening' : state === 'joined' && !microphone.enabled ? ', muted' : '';
  write('state', STATES[state] + how);
  write('error', trouble);
  $('error').hidden = trouble === '';
  for (const id of ['join', 'listen']) $(id).hidden = inside || fatal;
  for (const id of ['leave', 'sound']) $(id).hidden = !inside;
  for (const id of ['mute', 'own']) $(id).hidden = !inside || !microphone;
  $('call').hidden = state !== 'joined';
  $('nobody').hidden = there.length > 0;
  people.show([[$('people'), there.map((person) => ({ ...person, speaking: speaking.has(person.id) }))]]);
  // The button that was pressed is gone.
  if (focus) $(focus).focus();
}

/** Whose call this is, and as whom one joins it. `doing`: what was done here when the portal moved, which goes on. */
function greet(doing = '') {
  fatal = false;
  leave();
  try {
    const { said } = ticket(ANEW);
    $('portal').textContent = said.name ? `${said.portal}, as ${said.name}` : said.portal;
    document.title = `${said.portal} | Portal`;
    if (['talking', 'listening'].includes(doing)) join(doing === 'talking');
  } catch (error) {
    fatal = true;
    fail(error.message, null);
  }
}

function measure() {
  $('sent').value = microphone?.enabled ? sent.now() : 0;
  $('heard').value = heard.now();
  requestAnimationFrame(measure);
}

$('join').addEventListener('click', () => join(true));
$('listen').addEventListener('click', () => join(false));
$('leave').addEventListener('click', () => leave('join'));
$('mute').addEventListener('click', mute);
$('volume').addEventListener('input', () => { $('voices').volume = $('volume').value / 100; });
addEventListener('keydown', (event) => {
  if (event.key === 'm' && !event.ctrlKey && !event.metaKey && !event.altKey) mute();
});
addEventListener('hashchange', () => greet());
addEventListener('pagehide', () => leave());
greet(moved());
measure();
