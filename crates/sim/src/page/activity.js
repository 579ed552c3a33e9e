
'use strict';
// What Discord's client is around an Activity: it opens the Activity's page in a frame, with what its SDK wants to know, and answers the SDK's messages. In the query: `user`, by name or
// id, who looks; `platform`: desktop, or mobile; `mute=1`: Discord never answers.
// The SDK speaks with few parents. At http://localhost:3333 this page is one. Elsewhere there is a frame without an origin between, by which the Activity is no secure context: WebCodecs
// and others are not there.

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);

const OP = { HANDSHAKE: 0, FRAME: 1, CLOSE: 2 };
/** A parent that the SDK takes, for tests of one's own. */
const KNOWN = 'http://localhost:3333';
const FOCUSED = 0;
const PIP = 1;

const control = async (path, body) => {
  const answer = await fetch(`control/${path}`, body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.error ?? `${path}: ${answer.status}`);
  return json;
};

let guild = null;
let me = null;
let channel = null;
const { application } = document.body.dataset;
let frame = null;
const frameId = crypto.randomUUID();
/** What the page wants to hear of, and what it was told last. */
const subscribed = new Set();
let layout = FOCUSED;
let people = [];

const post = (op, data) => frame.contentWindow.postMessage([op, data], '*');
const reply = (message, data) => post(OP.FRAME, { cmd: message.cmd, evt: null, nonce: message.nonce, data });
const fail = (message, code, text) => post(OP.FRAME, { cmd: message.cmd, evt: 'ERROR', nonce: message.nonce, data: { code, message: text } });
const dispatch = (evt, data) => post(OP.FRAME, { cmd: 'DISPATCH', evt, data, nonce: null });
const tell = (evt, data) => subscribed.has(evt) && dispatch(evt, data);

const shown = ({ user }) => ({
  id: user.id, username: user.username, discriminator: user.discriminator ?? '0', avatar: null, global_name: user.global_name ?? null,
  flags: 0, public_flags: 0, bot: user.bot ?? false, avatar_decoration_data: null, premium_type: 0,
});

const COMMANDS = {
  async AUTHORIZE(message) {
    const { client_id: client, response_type: type, scope } = message.args ?? {};
    if (client !== application) return fail(message, 4007, 'Invalid Client ID');
    if (type !== 'code' || !Array.isArray(scope)) return fail(message, 4000, 'child "args" fails');
    if (scope.some((name) => name !== 'identify')) return fail(message, 5000, `discord-sim gives an Activity the scope identify only, and not ${scope}`);
    const { code } = await control('oauth', { user: me.user.id, action: 'activity' });
    return reply(message, { code });
  },
  SUBSCRIBE(message) {
    subscribed.add(message.evt);
    reply(message, { evt: message.evt });
    if (message.evt === 'ACTIVITY_LAYOUT_MODE_UPDATE') dispatch(message.evt, { layout_mode: layout });
  },
  UNSUBSCRIBE(message) {
    subscribed.delete(message.evt);
    reply(message, { evt: message.evt });
  },
  GET_ACTIVITY_INSTANCE_CONNECTED_PARTICIPANTS: (message) => reply(message, { participants: people }),
  GET_CHANNEL: (message) => reply(message, { id: channel.id, type: channel.type, guild_id: guild.id, name: channel.name, voice_states: [], messages: [] }),
  USER_SETTINGS_GET_LOCALE: (message) => reply(message, { locale: 'en-US' }),
  ENCOURAGE_HW_ACCELERATION: (message) => reply(message, { enabled: true }),
  SET_CONFIG: (message) => reply(message, { use_interactive_pip: message.args?.use_interactive_pip === true }),
  CAPTURE_LOG: (message) => reply(message, null),
  GET_PLATFORM_BEHAVIORS: (message) => reply(message, { iosKeyboardResizesView: true }),
};

function hear([op, data]) {
  if (op === OP.HANDSHAKE) {
    if (data.v !== 1) return post(OP.CLOSE, { code: 4004, message: 'Invalid version' });
    if (data.encoding !== 'json') return post(OP.CLOSE, { code: 4005, message: 'Invalid encoding' });
    if (data.client_id !== application || data.frame_id !== frameId) return post(OP.CLOSE, { code: 4000, message: 'Invalid Client ID' });
    subscribed.clear();
    if (query.get('mute') === '1') return undefined;
    return dispatch('READY', { v: 1, config: { cdn_host: location.host, api_endpoint: `//${location.host}/api`, environment: 'production' } });
  }
  if (op === OP.CLOSE) return frame.remove();
  if (op !== OP.FRAME) return undefined;
  const command = Object.hasOwn(COMMANDS, data.cmd) ? COMMANDS[data.cmd] : null;
  if (!command) return fail(data, 4002, `Invalid command: ${data.cmd}`);
  return Promise.resolve(command(data)).catch((error) => fail(data, 5000, error.message));
}

addEventListener('message', (event) => {
  if (frame && event.source === frame.contentWindow && Array.isArray(event.data)) hear(event.data);
});

/** Whom Discord shows in the Activity: those in the call. */
function count(voiceStates) {
  const here = new Set(voiceStates.filter((v) => v.channel_id === channel.id).map((v) => v.user_id));
  people = guild.members.filter(({ user }) => here.has(user.id)).map(shown);
  $('people').textContent = people.map((user) => user.global_name ?? user.username).join(', ');
  tell('ACTIVITY_INSTANCE_PARTICIPANTS_UPDATE', { participants: people });
}

async function follow() {
  for (let last = null; ; ) {
    const news = await control(last === null ? 'events?types=voice_state' : `events?types=voice_state&after=${last}&timeout_ms=25000`);
    if (last === null || news.events.length) {
      guild = await control('guild');
      count(guild.voice_states);
    }
    ({ last } = news);
  }
}

function open(url) {
  const inside = new URL(url);
  const instance = `i-${guild.id}-gc-${guild.id}-${channel.id}`;
  for (const [name, value] of Object.entries({
    instance_id: instance, location_id: `gc-${guild.id}-${channel.id}`, launch_id: guild.id, channel_id: channel.id, guild_id: guild.id,
    frame_id: frameId, platform: query.get('platform') ?? 'desktop',
  })) inside.searchParams.set(name, value);
  const activity = document.createElement('iframe');
  for (const [name, value] of Object.entries({ src: inside.href, width: '100%', height: '100%', frameborder: '0', allow: 'autoplay; fullscreen; encrypted-media', title: 'Activity' })) activity.setAttribute(name, value);
  if (location.origin === KNOWN) {
    frame = activity;
    return $('frame').replaceChildren(frame);
  }
  const relay = `<body marginwidth=0 marginheight=0>${activity.outerHTML}<script>${$('relay').content.textContent}</${'script'}>`;
  frame = document.createElement('iframe');
  frame.title = 'Activity';
  frame.allow = 'autoplay; fullscreen; encrypted-media';
  frame.src = `data:text/html;charset=utf-8,${encodeURIComponent(relay)}`;
  return $('frame').replaceChildren(frame);
}

$('small').addEventListener('click', () => {
  layout = layout === PIP ? FOCUSED : PIP;
  document.body.classList.toggle('small', layout === PIP);
  $('small').setAttribute('aria-pressed', String(layout === PIP));
  tell('ACTIVITY_LAYOUT_MODE_UPDATE', { layout_mode: layout });
});

async function begin() {
  const [home, settings] = await Promise.all(['guild', 'settings'].map((path) => control(path)));
  guild = home;
  const wanted = query.get('user') ?? 'alice';
  me = guild.members.find(({ user }) => user.id === wanted || user.username === wanted);
  if (!me) throw new Error(`Nobody in ${guild.name} is called ${wanted}.`);
  const there = guild.voice_states.find((v) => v.user_id === me.user.id)?.channel_id;
  channel = guild.channels.find((c) => c.id === there) ?? guild.channels.find((c) => c.type === 2);
  if (!settings.activity_url) throw new Error('The application has no Activity: POST /control/settings {"activity_url": …} says where it is.');
  $('channel').textContent = channel.name;
  document.title = `${channel.name} | Activity`;
  count(guild.voice_states);
  open(settings.activity_url);
  await follow();
}

begin().catch((error) => {
  $('error').textContent = error.message;
  $('error').hidden = false;
});
