
'use strict';
// Shows the guild, one channel's messages, and who is there; asks again whenever the simulator's event log grows.
// Nothing that a message contains becomes HTML: all of it is put in as text, by `make`.

const $ = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

const state = { guild: null, members: new Map(), presences: new Map(), messages: [], interactions: [], channel: null, seen: new Map(), speaking: new Set() };

const getJson = async (path) => {
  const answer = await fetch(`control/${path}`);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};

const safeUrl = (url) => (/^https?:\/\//i.test(url ?? '') ? url : null);
const link = (url, ...children) =>
  safeUrl(url) ? make('a', { href: url, target: '_blank', rel: 'noopener noreferrer' }, ...children) : make('span', {}, ...children);

// Markdown, as far as Discord has it.

const INLINE = [
  [/^```(?:([\w+-]*)\n)?([\s\S]+?)```\n?/, (m) => make('pre', {}, make('code', {}, m[2].replace(/\n$/, '')))],
  [/^(`+)([\s\S]*?[^`])\1(?!`)/, (m) => make('code', {}, m[2].trim())],
  [/^\\([^A-Za-z0-9\s])/, (m) => m[1]],
  [/^\*\*([\s\S]+?)\*\*(?!\*)/, (m) => make('strong', {}, inline(m[1]))],
  [/^__([\s\S]+?)__(?!_)/, (m) => make('u', {}, inline(m[1]))],
  [/^\*(?=\S)([\s\S]*?\S)\*(?!\*)/, (m) => make('em', {}, inline(m[1]))],
  [/^_(?=\S)([\s\S]*?\S)_(?!\w)/, (m) => make('em', {}, inline(m[1]))],
  [/^~~([\s\S]+?)~~/, (m) => make('s', {}, inline(m[1]))],
  [/^\|\|([\s\S]+?)\|\|/, (m) => make('span', { class: 'spoiler' }, inline(m[1]))],
  [/^\[([^\]\n]+)\]\(<?(https?:\/\/[^\s)>]+)>?\)/, (m) => link(m[2], inline(m[1]))],
  [/^<(https?:\/\/[^\s>]+)>/, (m) => link(m[1], m[1])],
  [/^https?:\/\/[^\s<]*[^\s<.,:;"')\]*_~|]/, (m) => link(m[0], m[0])],
  [/^<@!?(\d+)>/, (m) => mention(`@${userName(m[1])}`)],
  [/^<@&(\d+)>/, (m) => mention(`@${state.guild.roles.find((r) => r.id === m[1])?.name ?? 'unknown-role'}`)],
  [/^<#(\d+)>/, (m) => mention(`#${state.guild.channels.find((c) => c.id === m[1])?.name ?? 'unknown'}`)],
  [/^<t:(-?\d+)(?::([tTdDfFR]))?>/, (m) => mention(moment(Number(m[1]), m[2]))],
  [/^<a?:(\w+):\d+>/, (m) => `:${m[1]}:`],
  [/^@(everyone|here)/, (m) => mention(m[0])],
];

const mention = (text) => make('span', { class: 'mention' }, text);

/** Text with Discord's inline marks, as nodes. */
function inline(text) {
  const nodes = [];
  let plain = '';
  while (text) {
    const hit = INLINE.map(([pattern, show]) => [pattern.exec(text), show]).find(([match]) => match);
    // Within a word only the marks that begin with a sign count.
    if (hit && !(/\w$/.test(plain) && /^[_h]/.test(text))) {
      if (plain) nodes.push(plain);
      plain = '';
      nodes.push(hit[1](hit[0]));
      text = text.slice(hit[0][0].length);
    } else {
      plain += text[0];
      text = text.slice(1);
    }
  }
  if (plain) nodes.push(plain);
  return nodes;
}

const BLOCKS = [
  [/^(#{1,3}) +(.+)$/, (m) => make(`h${m[1].length + 2}`, {}, inline(m[2]))],
  [/^-# +(.+)$/, (m) => make('small', {}, inline(m[1]))],
  [/^> (.*)$/, (m) => make('blockquote', {}, inline(m[1]))],
  [/^ *[-*] +(.+)$/, (m) => make('div', { class: 'item' }, '• ', inline(m[1]))],
];

/** A text with blocks (headings, quotes, lists) and inline marks. */
function markdown(text, name = 'content') {
  const shown = make('div', { class: `${name} md` });
  let paragraph = [];
  let fenced = false;
  const flush = () => {
    if (paragraph.length) shown.append(...inline(paragraph.join('\n')));
    paragraph = [];
  };
  for (const line of text.split('\n')) {
    const block = !fenced && BLOCKS.map(([pattern, show]) => [pattern.exec(line), show]).find(([match]) => match);
    if (block) {
      flush();
      shown.append(block[1](block[0]));
    } else {
      paragraph.push(line);
    }
    if ((line.match(/```/g) ?? []).length % 2) fenced = !fenced;
  }
  flush();
  return shown;
}

// Time.

const clock = (date) => date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });

function moment(unix, style) {
  const date = new Date(unix * 1000);
  if (Number.isNaN(date.getTime())) return 'Invalid date';
  const full = { dateStyle: 'long', timeStyle: 'short' };
  switch (style) {
    case 't': return clock(date);
    case 'T': return date.toLocaleTimeString();
    case 'd': return date.toLocaleDateString();
    case 'D': return date.toLocaleDateString([], { dateStyle: 'long' });
    case 'F': return date.toLocaleString([], { dateStyle: 'full', timeStyle: 'short' });
    case 'R': return relative(date);
    default: return date.toLocaleString([], full);
  }
}

function relative(date) {
  const units = [['year', 31536000], ['month', 2592000], ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
  const seconds = (date - Date.now()) / 1000;
  const [unit, length] = units.find(([, size]) => Math.abs(seconds) >= size) ?? units.at(-1);
  return new Intl.RelativeTimeFormat([], { numeric: 'auto' }).format(Math.round(seconds / length), unit);
}

// People.

const member = (id) => state.members.get(id);
const nameOf = (user) => member(user?.id)?.nick ?? user?.global_name ?? user?.username ?? 'Unknown';
const roleNames = (m) => state.guild.roles.filter((r) => m.roles.includes(r.id)).map((r) => r.name).join(', ');
/** So many members of a group are listed. */
const LISTED = 100;
const userName = (id) => nameOf(member(id)?.user);
const COLORS = ['#5865f2', '#23a55a', '#f0b232', '#eb459e', '#f23f43', '#3ba6a6'];

function avatar(user, ...more) {
  const shown = make('span', { class: 'avatar', 'aria-hidden': 'true' }, nameOf(user).slice(0, 1).toUpperCase(), ...more);
  shown.style.background = COLORS[Number(BigInt(user.id) % BigInt(COLORS.length))];
  return shown;
}

/** The color of a member's highest role that has one. */
function roleColor(id) {
  const roles = state.guild.roles.filter((r) => r.color && member(id)?.roles.includes(r.id));
  const top = roles.sort((a, b) => b.position - a.position)[0];
  return top ? `#${top.color.toString(16).padStart(6, '0')}` : '';
}

function nameTag(user) {
  const name = make('span', { class: 'author' }, nameOf(user));
  name.style.color = roleColor(user.id);
  return [name, user.bot ? make('span', { class: 'tag' }, 'APP') : null];
}

const DOING = { 0: 'Playing ', 1: 'Streaming ', 2: 'Listening to ', 3: 'Watching ', 5: 'Competing in ' };
const activityText = (activity) => (activity.type === 4 ? activity.state ?? '' : `${DOING[activity.type] ?? ''}${activity.name}`);

// Messages.

const commandName = ({ data }) => {
  const nested = data.options?.find((option) => option.type <= 2);
  return nested ? `${data.name} ${commandName({ data: nested })}` : data.name;
};

/** What was used to bring this message about, if it was a command. */
const usage = (message) => state.interactions.find((i) => i.type === 2 && i.response?.message?.id === message.id);

/** The Activities that were opened in a channel. */
const launches = (channel) => state.interactions.filter((i) => i.response?.type === 12 && i.channel_id === channel.id);

const launchNode = (interaction) => make('div', { class: 'message first' },
  make('div', { class: 'reply' }, make('b', {}, userName(interaction.user_id)), make('span', {}, ' opened the Activity ')),
  make('a', { href: `activity?user=${encodeURIComponent(interaction.user_id)}`, target: '_blank', rel: 'noopener' }, 'Show it as that user'));

/** The answers that only one user sees, with whom. */
const privateMessages = () => state.interactions.flatMap((i) =>
  [i.response?.private ? i.response.message : null, ...i.followups].filter(Boolean).map((message) => ({ ...message, only: i.user_id })));

const picture = (url, name, message) => {
  const attached = url?.startsWith('attachment://') && message.attachments.find((a) => a.filename === url.slice(13));
  const source = safeUrl(attached ? attached.url : url);
  return source ? make('img', { src: source, class: name, alt: '', loading: 'lazy' }) : null;
};

/** Inline fields stand two or three in a line, as Discord sets them. */
function fields(list) {
  const shown = make('div', { class: 'fields' });
  for (let at = 0; at < list.length; ) {
    let run = 0;
    while (run < 3 && list[at + run]?.inline) run += 1;
    const width = run === 3 ? 'third' : run === 2 ? 'half' : '';
    for (const field of list.slice(at, at + (run || 1))) {
      const value = markdown(field.value, '');
      value.prepend(make('b', {}, inline(field.name)));
      value.classList.add('field', ...(width ? [width] : []));
      shown.append(value);
    }
    at += run || 1;
  }
  return shown;
}

function embed(data, message) {
  const { author, footer } = data;
  const foot = [footer?.text, data.timestamp ? new Date(data.timestamp).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' }) : null];
  const shown = make('div', { class: 'embed md' },
    author ? make('div', { class: 'by' }, picture(author.icon_url, '', message), author.url ? link(author.url, author.name) : author.name) : null,
    data.title ? make('div', { class: 'title' }, data.url ? link(data.url, inline(data.title)) : inline(data.title)) : null,
    data.description ? markdown(data.description, 'description') : null,
    data.fields ? fields(data.fields) : null,
    picture(data.image?.url, 'picture', message),
    picture(data.thumbnail?.url, 'thumbnail', message),
    foot.some(Boolean) ? make('div', { class: 'foot' }, picture(footer?.icon_url, '', message), foot.filter(Boolean).join(' • ')) : null,
  );
  if (data.color !== undefined) shown.style.borderLeftColor = `#${data.color.toString(16).padStart(6, '0')}`;
  return shown;
}

function attachment(file) {
  const url = safeUrl(file.url);
  if (url && /^image\/(png|jpe?g|gif|webp)$/.test(file.content_type ?? '')) {
    return make('a', { class: 'attachment', href: url, target: '_blank', rel: 'noopener noreferrer' },
      make('img', { src: url, alt: file.description ?? file.filename, loading: 'lazy' }));
  }
  return make('div', { class: 'attachment file' }, link(url, file.filename), make('span', {}, `${file.size.toLocaleString()} bytes`));
}

const emoji = (data) => (data ? data.id ? `:${data.name}:` : data.name : null);

function component(data, message) {
  const children = () => (data.components ?? []).map((child) => component(child, message));
  switch (data.type) {
    case 1: return make('div', { class: 'row' }, children());
    case 2: {
      const look = { class: `button s${data.style}${data.disabled ? ' off' : ''}`, title: data.custom_id ? `custom_id: ${data.custom_id}` : null };
      const inside = [emoji(data.emoji), data.label, data.style === 5 ? '↗' : null].filter(Boolean).map((part) => make('span', {}, part));
      if (data.style !== 5 || !safeUrl(data.url)) return make('span', look, inside);
      return make('a', { ...look, href: data.url, target: '_blank', rel: 'noopener noreferrer' }, inside);
    }
    case 9: return make('div', { class: 'section' }, make('div', {}, children()), component(data.accessory, message));
    case 10: return markdown(data.content, 'text');
    case 11: return picture(data.media?.url, '', message) ?? make('span');
    case 12: return make('div', { class: 'gallery' }, data.items.map((item) => picture(item.media?.url, '', message)));
    case 13: return make('div', { class: 'file' }, data.file?.url ?? '');
    case 14: return make('hr');
    case 17: {
      const shown = make('div', { class: 'container' }, children());
      if (data.accent_color) shown.style.borderLeftColor = `#${data.accent_color.toString(16).padStart(6, '0')}`;
      return shown;
    }
    default: return make('div', { class: 'select' }, data.placeholder ?? 'Make a selection');
  }
}

const CROSSPOSTED = 1;
const LOADING = 128;
const SUPPRESS_EMBEDS = 4;

function messageBody(message) {
  const edited = message.edited_timestamp ? make('span', { class: 'edited', title: message.edited_timestamp }, '(edited)') : null;
  const content = markdown(message.content);
  if (edited) content.append(edited);
  return [
    message.flags & LOADING ? make('i', {}, `${nameOf(message.author)} is thinking…`) : null,
    message.content || edited ? content : null,
    message.attachments.map(attachment),
    message.flags & SUPPRESS_EMBEDS ? null : message.embeds.map((data) => embed(data, message)),
    message.components.map((data) => component(data, message)),
    message.only ? make('small', {}, `Only ${userName(message.only)} can see this`) : null,
  ];
}

function messageNode(message, previous) {
  const date = new Date(message.timestamp);
  const used = usage(message);
  const follows = previous && !used && !message.only && !previous.only && previous.author.id === message.author.id && !message.message_reference
    && date - new Date(previous.timestamp) < 7 * 60 * 1000 && date.toDateString() === new Date(previous.timestamp).toDateString();
  if (follows) return make('div', { class: 'message', title: date.toLocaleString() }, messageBody(message));
  const original = message.referenced_message;
  const today = date.toDateString() === new Date().toDateString();
  return make('div', { class: 'message first' },
    used ? make('div', { class: 'reply' }, make('b', {}, userName(used.user_id)), make('span', {}, ' used '), mention(`/${commandName(used)}`)) : null,
    message.message_reference
      ? make('div', { class: 'reply' }, original ? [make('b', {}, nameOf(original.author)), make('span', {}, original.content.split('\n')[0] || 'Click to see attachment')] : make('i', {}, 'Original message was deleted'))
      : null,
    avatar(message.author),
    make('div', {}, nameTag(message.author),
      make('time', { datetime: message.timestamp, title: date.toLocaleString() }, today ? `Today at ${clock(date)}` : date.toLocaleString([], { dateStyle: 'short', timeStyle: 'short' })),
      message.flags & CROSSPOSTED ? make('span', { class: 'published' }, 'Published') : null),
    messageBody(message));
}

// The page.

// Drawn, since not every machine has emoji.
const ICONS = {
  announcement: 'M3 9v6h3l2 5h2.5l-1.4-5H12l8 4V5l-8 4H3z',
  voice: 'M4 9v6h4l5 5V4L8 9H4zm11.5-1v8a4.5 4.5 0 0 0 0-8zm0-4v2.2a6.5 6.5 0 0 1 0 11.6V20a8.7 8.7 0 0 0 0-16z',
  muted: 'M12 3a3 3 0 0 0-3 3v.6l6 6V6a3 3 0 0 0-3-3zM4.3 3 3 4.3l18 18 1.3-1.3-5-5A7 7 0 0 0 19 11h-2c0 1.2-.4 2.3-1 3.2l-1.5-1.5A3 3 0 0 0 15 12L4.3 3zM5 11a7 7 0 0 0 6 6.9V21h2v-3.1a7 7 0 0 0 1.4-.4l-1.6-1.6A5 5 0 0 1 7 11H5z',
};

function icon(name) {
  const drawing = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  drawing.setAttribute('viewBox', '0 0 24 24');
  drawing.setAttribute('class', 'icon');
  drawing.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(drawing.namespaceURI, 'path');
  path.setAttribute('d', ICONS[name]);
  drawing.append(path);
  return drawing;
}

const hasVoice = (channel) => channel.type === 2 || channel.type === 13;

const sign = (channel) =>
  make('span', { class: 'sign' }, { 2: () => icon('voice'), 13: () => icon('voice'), 5: () => icon('announcement') }[channel.type]?.() ?? '#');

function showChannels() {
  const { guild } = state;
  const newest = (id) => state.messages.filter((m) => m.channel_id === id).at(-1)?.id;
  const text = guild.channels.filter((c) => !hasVoice(c)).map((channel) => {
    const unread = channel.id !== state.channel && newest(channel.id) && newest(channel.id) !== state.seen.get(channel.id);
    const button = make('button', { class: `channel${unread ? ' unread' : ''}`, 'aria-current': channel.id === state.channel ? 'page' : null },
      sign(channel), channel.name);
    button.addEventListener('click', () => { location.hash = channel.name; });
    return make('div', { role: 'listitem' }, button);
  });
  const voice = guild.channels.filter(hasVoice).map((channel) => make('div', { role: 'listitem' },
    make('div', { class: 'channel voice' }, sign(channel), channel.name),
    channel.status ? make('div', { class: 'status', title: channel.status }, channel.status) : null,
    guild.voice_states.filter((v) => v.channel_id === channel.id)
      .map((v) => make('div', { class: `speaker${state.speaking.has(v.user_id) ? ' speaks' : ''}`, 'data-user': v.user_id }, avatar(member(v.user_id).user), userName(v.user_id), v.self_mute || v.mute ? icon('muted') : null))));
  $('guild').textContent = guild.name;
  $('channels').replaceChildren(make('h2', {}, 'Text channels'), ...text, make('h2', {}, 'Voice channels'), ...voice);
}

function showMessages() {
  const channel = state.guild.channels.find((c) => c.id === state.channel);
  const messages = [...state.messages, ...privateMessages()].filter((m) => m.channel_id === channel.id)
    .sort((one, other) => (BigInt(one.id) < BigInt(other.id) ? -1 : 1));
  const list = $('messages');
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80 || list.dataset.channel !== channel.id;
  $('channel').replaceChildren(sign(channel), channel.name);
  document.title = `#${channel.name} | ${state.guild.name}`;
  const nodes = [];
  let day = null;
  messages.forEach((message, at) => {
    const date = new Date(message.timestamp);
    if (date.toDateString() !== day) nodes.push(make('div', { class: 'day' }, date.toLocaleDateString([], { dateStyle: 'long' })));
    day = date.toDateString();
    nodes.push(messageNode(message, messages[at - 1]));
  });
  nodes.push(...launches(channel).map(launchNode));
  if (!nodes.length) nodes.push(make('p', { class: 'empty' }, `Nothing has been said in #${channel.name}.`));
  list.replaceChildren(...nodes);
  list.dataset.channel = channel.id;
  state.seen.set(channel.id, messages.filter((m) => !m.only).at(-1)?.id);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showMembers() {
  const status = (m) => state.presences.get(m.user.id)?.status ?? 'offline';
  const row = (m) => {
    const activities = state.presences.get(m.user.id)?.activities ?? [];
    const doing = activities.map(activityText).filter(Boolean).join(', ');
    return make('div', { class: `member${status(m) === 'offline' ? ' away' : ''}`, title: roleNames(m) || null },
      avatar(m.user, make('span', { class: `dot ${status(m)}`, title: status(m) })),
      make('div', {}, make('div', { class: 'name' }, nameTag(m.user)), doing ? make('div', { class: 'activity', title: doing }, doing) : null));
  };
  const groups = [['Online', (m) => status(m) !== 'offline'], ['Offline', (m) => status(m) === 'offline']];
  $('members').replaceChildren(...groups.flatMap(([title, belongs]) => {
    const members = state.guild.members.filter(belongs);
    return members.length ? [make('h2', {}, `${title} — ${members.length}`), ...members.slice(0, LISTED).map(row)] : [];
  }));
}

function show() {
  const channels = state.guild.channels.filter((c) => !hasVoice(c));
  const wanted = channels.find((c) => c.name === decodeURIComponent(location.hash.slice(1)));
  const busiest = channels.find((c) => state.messages.some((m) => m.channel_id === c.id));
  state.channel = (wanted ?? channels.find((c) => c.id === state.channel) ?? busiest ?? channels[0]).id;
  showMessages();
  showChannels();
  showMembers();
}

// Who speaks.

const LOOK_MS = 300;
/** How many frames each had sent when it was last looked. */
let frames = new Map();

/** Marks those in the calls from whom audio came since the last time; the event log does not tell of it. */
async function listen() {
  const inCall = state.guild?.voice_states.some((v) => v.channel_id);
  if (inCall && !document.hidden) {
    const { channels } = await getJson('voice');
    const now = new Map(channels.flatMap((c) => c.users).filter((u) => u.frames).map((u) => [u.user_id, u.frames.received]));
    state.speaking = new Set([...now.keys()].filter((user) => frames.has(user) && now.get(user) > frames.get(user)));
    for (const shown of document.querySelectorAll('.speaker')) shown.classList.toggle('speaks', state.speaking.has(shown.dataset.user));
    frames = now;
  }
}

async function watch() {
  for (;;) {
    // `follow` shows that the simulator is away.
    await listen().catch((error) => console.warn(error));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

async function load() {
  const [guild, presences, messages, interactions] = await Promise.all(['guild', 'presence', 'messages', 'interactions'].map(getJson));
  state.guild = guild;
  state.members = new Map(guild.members.map((m) => [m.user.id, m]));
  state.presences = new Map(presences.map((presence) => [presence.user_id, presence]));
  state.messages = messages;
  state.interactions = interactions;
  show();
}

async function follow() {
  // The number of the last event that is shown; null: nothing is, yet.
  for (let last = null; ; ) {
    try {
      const news = await getJson(last === null ? 'events' : `events?after=${last}&timeout_ms=25000`);
      // What happens while the state is loaded has a number after this one, and is loaded again.
      if (last === null || news.events.length || news.last < last) await load();
      last = news.last;
      $('lost').hidden = true;
    } catch (error) {
      console.warn(error);
      $('lost').hidden = false;
      last = null;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

addEventListener('hashchange', () => state.guild && show());
follow();
watch();
