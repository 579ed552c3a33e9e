// The pages of a portal in Chromium, in every state that they have, against a portal that is none: it says what the state needs. Of each state it is looked whether everybody can use
// it: by axe, and by the keyboard, by touch, at 200 % and on a small phone; and of some, whether the page does what it is to do when it is hidden, started twice, or cannot decode.
// Says by lines of JSON {state, wrong: [what is wrong, for people]}. With SHOTS=folder it leaves pictures there, of a phone and a desktop, dark and light.
// usage: pages.mjs ASSETS [STATE…]     (the folder of the pages; only states whose name begins so)
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { launch, serve } from './browser.mjs';

const modules = createRequire(`${process.env.NODE_MODULES}/`);
const axe = readFileSync(modules.resolve('axe-core/axe.min.js'), 'utf8');
const [, , assets, ...only] = process.argv;
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
/** A desktop at 200 %, and the smallest of phones. */
const NARROW = { zoomed: { width: 640, height: 400 }, small: { width: 320, height: 568 } };
/** Of a side of what is touched. */
const LEAST = 44;
const TYPES = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8' };
/** As the bridge has it (crates/bridge/src/http/pages.rs). */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const browser = await launch();

/** The files as the bridge has them: those of a page beside its path, with those of all pages. */
const find = (path) => {
  const parts = path.split('/').slice(2);
  const file = parts.pop() || 'index.html';
  // An Activity is asked for without a portal.
  const page = parts.length === 0 ? 'tv' : parts[1] ?? 'portal';
  for (const there of [page, 'common']) {
    try {
      const body = readFileSync(`${assets}/${there}/${file}`);
      return { body, type: TYPES[file.split('.').at(-1)], headers: { 'content-security-policy': POLICY } };
    } catch { /* Then it is one of all pages. */ }
  }
  return null;
};
const served = await serve(find);
const ORIGIN = served.origin;
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function token(more = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256' })}.${part({ portal: 'lobby', name: 'Ada', exp: Date.now() / 1000 + 600, ...more })}.signature`;
}

const PEOPLE = {
  world: [{ id: 'w1', name: 'Lin', speaking: true }, { id: 'w2', name: 'Somebody whose name is as long as names may be', speaking: false }],
  call: [{ id: 'c1', name: 'Ann', speaking: false }, { id: 'c2', name: 'Bob', speaking: true }],
};

const settle = async (of, test, argument) => {
  for (const end = Date.now() + 20_000; Date.now() < end; await pause(20)) {
    if (await of.evaluate(test, argument)) return;
  }
  throw new Error(`it does not come to that: ${test} ${argument ?? ''}`);
};
const state = (page, wanted) => settle(page, (it) => document.body.dataset.state === it, wanted);

/** A whole picture, which needs no encoder of this browser's. */
const jpegs = {};
async function picture(page, width = 640) {
  jpegs[width] ??= Buffer.from(await page.evaluate(async (wide) => {
    const canvas = new OffscreenCanvas(wide, 360);
    const context = canvas.getContext('2d');
    for (const [colour, y, height] of [['#6ea8d8', 0, 200], ['#3d6b35', 200, 160]]) {
      context.fillStyle = colour;
      context.fillRect(0, y, wide, height);
    }
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: 'image/jpeg' })).arrayBuffer());
    return [...bytes];
  }, width));
  const header = Buffer.alloc(12);
  header.writeUInt8(3, 0);
  header.writeUInt8(1, 1);
  return Buffer.concat([header, jpegs[width]]);
}

/** A portal's side of World TV's WebSocket. `says(said, page's message)` answers; what it knows of the page is in it. */
class Portal {
  hellos = [];
  said = [];
  open = 0;
  socket = null;
  silent = false;
  /** A connection that died: what is said by it is heard by nobody. */
  dead = null;
  refuses = null;

  /** `air`: of what kind the picture is. */
  constructor(air = null) {
    this.air = air;
  }

  take(socket) {
    this.open += 1;
    this.socket = socket;
    const word = (value) => socket.send(JSON.stringify(value));
    socket.onClose(() => { this.open -= 1; });
    socket.onMessage((text) => {
      const said = JSON.parse(text);
      this.said.push(said);
      if (this.silent || this.dead === socket) return;
      if (said.op === 'ping') word({ op: 'pong', t: said.t, pts: 0 });
      if (said.op !== 'hello') return;
      this.hellos.push(said);
      if (this.refuses) {
        word({ op: 'error', error: this.refuses.error, message: 'words for programs' });
        socket.close({ code: this.refuses.code });
        this.open -= 1;
        return;
      }
      word({ op: 'hello', name: 'lobby', audio: said.audio });
      word({ op: 'air', picture: this.air });
      word({ op: 'people', ...PEOPLE, more: 0 });
    });
  }

  say(value) {
    this.socket.send(JSON.stringify(value));
  }

  /** The page is told of nothing any more, and comes to nobody. */
  close(code = 4404) {
    this.open -= 1;
    this.socket.close({ code });
  }
}

/** WebRTC's side of a portal: another page of this browser. Gives an answer, and speaks on `vsk-control`. */
const far = await (await browser.newContext()).newPage();
await far.goto('about:blank');
await far.evaluate(() => {
  globalThis.peers = [];
  globalThis.camera = () => {
    const canvas = document.createElement('canvas');
    const context = canvas.getContext('2d');
    const stream = canvas.captureStream(30);
    setInterval(() => {
      context.fillStyle = `rgb(${Date.now() % 100} 200 80)`;
      context.fillRect(0, 0, canvas.width, canvas.height);
    }, 30);
    return stream;
  };
  globalThis.answer = async (sdp, shows = false) => {
    const peer = new RTCPeerConnection();
    globalThis.peers.push(peer);
    const stream = shows && globalThis.camera();
    if (stream) peer.addTrack(stream.getVideoTracks()[0], stream);
    peer.ondatachannel = ({ channel }) => {
      globalThis.control = channel;
      channel.onmessage = ({ data }) => {
        const { type } = JSON.parse(data);
        const word = (value) => channel.send(JSON.stringify(value));
        if (type === 'ping') word({ type: 'pong' });
        if (type !== 'hello') return;
        word({ type: 'welcome' });
        word({ type: 'roster', speakers: [{ id: 1, name: 'Ann' }, { id: 2, name: 'Somebody whose name is as long as names may be' }] });
        word({ type: 'speaking', id: 1, speaking: true });
      };
    };
    await peer.setRemoteDescription({ type: 'offer', sdp });
    await peer.setLocalDescription();
    if (peer.iceGatheringState !== 'complete') await new Promise((resolve) => { peer.onicegatheringstatechange = () => peer.iceGatheringState === 'complete' && resolve(); });
    return peer.localDescription.sdp;
  };
  globalThis.gone = () => { for (const peer of globalThis.peers.splice(0)) peer.close(); };
});

/** What a portal answers by HTTP, unless a state says otherwise. */
const HTTP = {
  offer: async (request) => ({ status: 201, headers: { location: 'session' }, body: await far.evaluate((sdp) => globalThis.answer(sdp), request.postData()) }),
  air: () => ({ json: { connected: true, on_air: true, viewers: 3 } }),
};
const never = () => new Promise(() => {});
const refuses = (status, error) => () => ({ status, json: { error, message: 'words for programs' } });

/** A page at an address of ORIGIN. `tv` is a `Portal`; `http` replaces answers of HTTP; `before` runs in the page before everything else. */
async function open(path, { tv = new Portal(), http = {}, before = null, colorScheme = 'dark', clock = false, javaScriptEnabled = true, origin = ORIGIN } = {}) {
  const context = await browser.newContext({ viewport: SIZES.desktop, colorScheme, javaScriptEnabled, permissions: ['camera', 'microphone'] });
  const page = await context.newPage();
  if (clock) await page.clock.install();
  page.on('console', (line) => process.env.LOUD && process.stderr.write(`${line.text()}\n`));
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(String(error)));
  page.on('console', (line) => /Content Security Policy|\[Violation\]/.test(line.text()) && page.wrong.push(line.text()));
  if (before) await page.addInitScript(before);
  const answers = { ...HTTP, ...http };
  if (tv) await page.routeWebSocket(/\/tv$/, (socket) => tv.take(socket));
  await page.route(`${origin}/**`, async (route, request) => {
    const { pathname } = new URL(request.url());
    const [, name] = /([^/]*)$/.exec(pathname);
    const answer = async (what) => route.fulfill(await what(request)).catch(() => {});
    if (pathname === '/discord/activity') return answer(answers.activity);
    if (request.method() === 'POST') return answer(answers.offer);
    if (name === 'air') return answer(answers.air);
    if (request.method() !== 'GET') return route.fulfill({ status: 200, body: '' });
    return route.continue();
  });
  await page.goto(`${origin}${path}`);
  return page;
}

const TV = `/portal/lobby/tv/?by=websocket#${token()}`;
const SHARE = `/portal/lobby/share/#${token()}`;
const JOIN = `/portal/lobby/#${token()}`;

/** World TV, with a picture. */
async function live(more = {}) {
  const tv = new Portal('JPEG');
  const page = await open(TV, { tv, ...more });
  await state(page, 'waiting');
  tv.socket.send(await picture(page));
  await state(page, 'live');
  return { page, tv };
}

/** Shown as live until it is looked at: a picture every second. */
async function watched() {
  const { page, tv } = await live();
  const frame = await picture(page);
  const timer = setInterval(() => tv.socket.send(frame), 500);
  page.on('close', () => clearInterval(timer));
  return { page, tv };
}

/** What colours are on the screen where the picture is; undoes no cover, as people cannot. */
async function colours(page) {
  const png = await page.locator('#stage').screenshot();
  return far.evaluate(async (base64) => {
    const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${base64}`)).blob());
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
    context.drawImage(bitmap, 0, 0);
    // Left of the words.
    return [0.3, 0.5, 0.8].map((part) => `${[...context.getImageData(8, part * bitmap.height, 1, 1).data].slice(0, 3)}`);
  }, png.toString('base64'));
}

/** The camera has gone, and this is what is wrong then. */
async function gone(page, tv, late) {
  const wrong = [];
  if ((await colours(page)).every((it) => it === '0,0,0')) wrong.push('no picture was seen before');
  tv.say({ op: 'air', picture: null });
  await state(page, 'waiting');
  await late();
  const seen = await page.evaluate(() => document.body.dataset.state);
  if (seen !== 'waiting') wrong.push(`it is ${seen}`);
  const shown = await colours(page);
  if (shown.some((it) => it !== '0,0,0')) wrong.push(`there is ${shown}`);
  return wrong;
}

async function sharing(more) {
  const page = await open(SHARE, more);
  await page.click('#camera');
  await state(page, 'preview');
  return page;
}

async function shared(wanted, more) {
  const page = await sharing(more);
  await page.click('#go');
  await state(page, wanted);
  return page;
}

async function joined(button, more) {
  const page = await open(JOIN, more);
  await page.click(button);
  await state(page, 'joined');
  await settle(page, () => document.querySelectorAll('#people li').length === 2);
  return page;
}

/** Every state of every page: the page in that state, and what is to be read there. */
const STATES = {
  'tv-connecting': async () => {
    const tv = new Portal();
    tv.silent = true;
    return [await open(TV, { tv }), 'Connecting'];
  },
  'tv-waiting': async () => {
    const page = await open(TV);
    await state(page, 'waiting');
    return [page, 'Nobody shows a picture of the world just now.'];
  },
  'tv-codec': async () => {
    const page = await open(TV, { tv: new Portal('H264'), before: () => { delete globalThis.VideoDecoder; } });
    await state(page, 'waiting');
    return [page, 'The picture is H.264 video, which this browser does not show. Try Chrome, Edge or Safari.'];
  },
  'tv-paused': async () => {
    const page = await open(`/portal/lobby/tv/#${token()}`, { before: () => { HTMLMediaElement.prototype.play = async () => { throw new DOMException('', 'NotAllowedError'); }; } });
    await state(page, 'paused');
    return [page, 'This browser starts no picture by itself.'];
  },
  'tv-live': async () => [(await watched()).page, 'Lin'],
  'tv-sound': async () => {
    const { page, tv } = await watched();
    await page.click('#sound');
    await settle(page, () => !document.getElementById('loud').hidden);
    for (const end = Date.now() + 5_000; tv.hellos.at(-1).audio !== true && Date.now() < end;) await pause(20);
    if (tv.hellos.at(-1).audio !== true) throw new Error('the portal is not asked for sound');
    return [page, 'Sound on'];
  },
  'tv-no-sound': async () => {
    const page = await open(TV, { before: () => { delete globalThis.AudioDecoder; } });
    await state(page, 'waiting');
    await page.click('#sound');
    return [page, 'This browser cannot play the sound. Try another one.'];
  },
  'tv-alone': async () => {
    const { page } = await watched();
    await page.click('#who');
    return [page, 'People'];
  },
  'tv-small': async () => {
    const { page } = await watched();
    await page.evaluate(() => document.body.classList.add('small'));
    return [page, null];
  },
  'tv-still': async () => {
    const { page } = await live();
    await state(page, 'still');
    return [page, 'The picture stands still. It goes on by itself.'];
  },
  'tv-gone': async () => {
    const { page, tv } = await live();
    tv.say({ op: 'air', picture: null });
    await state(page, 'waiting');
    tv.socket.send(await picture(page, 320));
    await settle(page, () => document.getElementById('canvas').width === 320);
    return [page, 'Nobody shows a picture of the world just now.'];
  },
  'tv-lost': async () => {
    const { page, tv } = await live();
    tv.refuses = { code: 4404, error: 'no_portal' };
    tv.close();
    await settle(page, () => document.getElementById('error').textContent !== '');
    return [page, 'The portal is not open. This page goes on by itself when somebody opens it.'];
  },
  'tv-full': async () => {
    const tv = new Portal();
    tv.refuses = { code: 4429, error: 'portal_full' };
    const page = await open(TV, { tv });
    await state(page, 'lost');
    return [page, 'The portal is full.'];
  },
  'tv-often': async () => {
    const tv = new Portal();
    tv.refuses = { code: 4429, error: 'too_many_of_yours' };
    const page = await open(TV, { tv });
    await state(page, 'lost');
    return [page, 'You are here as often as one may be.'];
  },
  'tv-no-token': async () => {
    const page = await open('/portal/lobby/tv/');
    await state(page, 'refused');
    return [page, 'Open the whole link that you were given'];
  },
  'tv-expired': async () => {
    const page = await open(`/portal/lobby/tv/#${token({ exp: 1_700_000_000 })}`);
    await state(page, 'refused');
    return [page, 'Ask for a new one in Discord, with /watch.'];
  },
  'tv-other-portal': async () => {
    const tv = new Portal();
    tv.refuses = { code: 4403, error: 'other_portal' };
    const page = await open(TV, { tv });
    await state(page, 'refused');
    return [page, 'This link is for another portal.'];
  },
  'activity-refused': async () => {
    const page = await open('/portal/?frame_id=x&instance_id=i&platform=desktop', { http: { activity: () => ({ status: 502, body: 'Bad Gateway' }) } });
    await state(page, 'refused');
    return [page, 'World TV is not set up right here: the server answered 502. Tell whoever runs this server to look at the Activity’s URL mappings.'];
  },
  'activity-off': async () => {
    const message = 'there is no Activity here; `config :uro_discord, portal: [activity: true]` says that there is';
    const page = await open('/portal/?frame_id=x&instance_id=i&platform=desktop', { http: { activity: () => ({ status: 404, json: { error: 'not_configured', message } }) } });
    await state(page, 'refused');
    return [page, message];
  },
  'share-choose': async () => [await open(SHARE), 'Nobody sees you.'],
  'share-no-token': async () => [await open('/portal/lobby/share/'), 'Open the whole link that you were given'],
  'share-asking': async () => {
    const page = await open(SHARE, { before: () => { navigator.mediaDevices.getUserMedia = () => new Promise(() => {}); } });
    await page.click('#camera');
    return [page, 'Your browser asks you'];
  },
  'share-no-camera': async () => {
    const page = await open(SHARE, { before: () => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }; } });
    await page.click('#camera');
    await settle(page, () => !document.getElementById('error').hidden);
    return [page, 'There is no camera. Plug one in, and try again.'];
  },
  'share-preview': async () => [await sharing(), 'Nobody sees you yet.'],
  'share-joining': async () => [await shared('joining', { http: { offer: never } }), 'Connecting'],
  'share-live': async () => [await shared('live'), 'You are on air in lobby.'],
  'share-not-on-air': async () => [await shared('live', { http: { air: () => ({ json: { connected: true, on_air: false, viewers: 0 } }) } }), 'You are on air as soon as they stop, or when a moderator chooses you.'],
  'share-lost': async () => [await shared('lost', { http: { offer: refuses(503, 'unavailable') } }), 'The portal has too much to do just now.'],
  'share-ended': async () => {
    const page = await shared('live');
    await page.click('#stop');
    await state(page, 'ended');
    return [page, 'Camera and microphone are off.'];
  },
  'share-stopped': async () => [await shared('ended', { http: { offer: refuses(403, 'stopped') } }), 'A moderator has ended this.'],
  'share-spent': async () => {
    const page = await shared('ended', { http: { offer: refuses(401, 'token_expired') } });
    if (await page.isVisible('#again')) throw new Error('it offers to share again with this link');
    return [page, 'This link has expired. Ask for a new one in Discord, with /share.'];
  },
  'join-idle': async () => [await open(JOIN), 'lobby, as Ada'],
  'join-no-token': async () => [await open('/portal/lobby/'), 'Open the whole link that you were given'],
  'join-joining': async () => {
    const page = await open(JOIN, { http: { offer: never } });
    await page.click('#join');
    await state(page, 'joining');
    return [page, 'Connecting'];
  },
  'join-joined': async () => [await joined('#join'), 'Ann'],
  'join-muted': async () => {
    const page = await joined('#join');
    await page.click('#mute');
    return [page, 'In the call, muted'];
  },
  'join-listening': async () => [await joined('#listen'), 'In the call, listening'],
  'join-lost': async () => {
    let offers = 0;
    const offer = (request) => (offers++ ? refuses(429, 'portal_full')(request) : HTTP.offer(request));
    const page = await joined('#listen', { http: { offer } });
    await far.evaluate(() => globalThis.gone());
    await state(page, 'lost');
    await settle(page, () => document.getElementById('error').textContent.startsWith('The portal is full.'));
    return [page, 'Connecting again'];
  },
  'join-refused': async () => {
    const page = await open(JOIN, { http: { offer: refuses(401, 'bad_token') } });
    await page.click('#listen');
    await state(page, 'failed');
    if (await page.isVisible('#join') || await page.isVisible('#listen')) throw new Error('it offers to join with this link');
    return [page, 'The portal does not accept this link. Ask whoever gave it to you for a new one.'];
  },
};

/** What is not to be operated, or not to be seen, at this size. */
const sized = (least) => {
  const wrong = [];
  const { scrollWidth, clientWidth, scrollHeight, clientHeight } = document.documentElement;
  if (scrollWidth > clientWidth) wrong.push(`it is ${scrollWidth} px wide in ${clientWidth}`);
  // What shows a picture is as high as the window; pages to read are as long as they are.
  if (document.getElementById('stage') && scrollHeight > clientHeight) wrong.push(`it is ${scrollHeight} px high in ${clientHeight}`);
  for (const it of document.querySelectorAll('button, input, select')) {
    const target = it.type === 'radio' ? it.closest('label') : it;
    if (!target.checkVisibility()) continue;
    const { width, height, left, right } = target.getBoundingClientRect();
    if (Math.min(width, height) < least) wrong.push(`#${it.id || it.value} is ${Math.round(width)} × ${Math.round(height)}`);
    if (left < 0 || right > clientWidth) wrong.push(`#${it.id || it.value} is cut off`);
  }
  const stage = document.getElementById('stage')?.getBoundingClientRect();
  for (const it of document.body.dataset.state === 'live' ? [] : document.querySelectorAll('#cover > *')) {
    const { top, bottom } = it.getBoundingClientRect();
    if (it.checkVisibility() && (top < stage.top || bottom > stage.bottom)) wrong.push(`“${it.textContent}” is cut off`);
  }
  if (document.getAnimations().length > 0) wrong.push('something moves by itself');
  return wrong;
};

/** Tab from control to control: each is reached, and seen to be. */
async function keyboard(page) {
  const all = await page.evaluate(() => {
    document.activeElement?.blur();
    const groups = new Set();
    return [...document.querySelectorAll('button, input, select')].filter((it) => {
      if (!it.checkVisibility() || it.disabled) return false;
      if (it.type !== 'radio') return true;
      const first = !groups.has(it.name);
      groups.add(it.name);
      return first;
    }).length;
  });
  const reached = new Set();
  const wrong = [];
  for (let presses = 0; presses < all + 6 && reached.size < all; presses += 1) {
    await page.keyboard.press('Tab');
    const on = await page.evaluate(() => {
      const it = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(it);
      return { tag: it.localName, name: it.id || it.name, seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
    });
    if (on.tag !== 'body' && !on.seen) wrong.push(`the focus is not to be seen on #${on.name}`);
    if (['button', 'input', 'select'].includes(on.tag)) reached.add(on.name);
  }
  if (reached.size < all) wrong.push(`of ${all} controls Tab reaches ${[...reached]}`);
  return wrong;
}

const judge = async (rules) => {
  const { violations } = await globalThis.axe.run({ resultTypes: ['violations'], ...rules });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`);
};

async function look(name, page, text) {
  const wrong = [];
  const read = await page.evaluate(() => document.body.innerText);
  if (text && !read.includes(text)) wrong.push(`“${text}” is not to be read: ${read}`);
  await page.evaluate(axe);
  for (const [device, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      // In the other colours everything else is as it was.
      const rules = colorScheme === 'dark' ? {} : { runOnly: ['color-contrast'] };
      const violations = await page.evaluate(judge, rules);
      wrong.push(...violations.map((it) => `${device} ${colorScheme} axe ${it}`));
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}-${device}-${colorScheme}.png` });
    }
    wrong.push(...(await page.evaluate(sized, LEAST)).map((it) => `${device}: ${it}`));
  }
  for (const [device, size] of Object.entries(NARROW)) {
    await page.setViewportSize(size);
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}-${device}.png` });
    wrong.push(...(await page.evaluate(sized, LEAST)).map((it) => `${device}: ${it}`));
  }
  await page.setViewportSize(SIZES.desktop);
  wrong.push(...await keyboard(page), ...page.wrong);
  return wrong;
}

/** Seen or not, as a browser tells a page. */
const hide = (page, hidden) => page.evaluate((it) => {
  Object.defineProperty(document, 'hidden', { value: it, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}, hidden);

/** A bridge from which the portal goes to another one, at an address of its own, when it is told to: as a bridge does then, it answers all with 307. */
async function bridges() {
  let to = null;
  const first = await serve((path) => (to ? { status: 307, headers: { location: `${to}${path}` } } : find(path)));
  const second = await serve(find);
  return {
    first: first.origin,
    second: second.origin,
    move: () => { to = second.origin; },
    close: () => [first, second].forEach((it) => it.close()),
  };
}

/** Where the page is when the other bridge has it. */
async function arrives(page, origin) {
  await page.waitForURL((url) => url.origin === origin, { timeout: 20_000, waitUntil: 'load' });
  return new URL(page.url());
}

/** What pages do; each gives what is wrong. */
const DEEDS = {
  'a page that was hidden for long comes back when it is seen, and dials nobody meanwhile': async () => {
    const { page, tv } = await live({ clock: true });
    await hide(page, true);
    // Timers of a page that is hidden run once a minute.
    for (let minute = 0; minute < 5; minute += 1) {
      await page.clock.fastForward(60_000);
      await pause(50);
    }
    const wrong = tv.hellos.length === 1 ? [] : [`a connection that is good was begun anew ${tv.hellos.length - 1} times`];
    tv.close(1006);
    for (let minute = 0; minute < 5; minute += 1) {
      await page.clock.fastForward(60_000);
      await pause(50);
    }
    const before = tv.hellos.length;
    if (before !== 1) wrong.push(`hidden, it dialled ${before - 1} times`);
    await hide(page, false);
    await state(page, 'waiting');
    return [page, wrong];
  },
  'a connection that died while the page was hidden is found out soon': async () => {
    const { page, tv } = await live({ clock: true });
    await hide(page, true);
    tv.dead = tv.socket;
    await hide(page, false);
    await page.clock.runFor(3_500);
    await pause(50);
    await page.clock.runFor(1_000);
    for (const end = Date.now() + 5_000; tv.hellos.length < 2 && Date.now() < end;) await pause(20);
    return [page, tv.hellos.length === 2 ? [] : [`it dialled ${tv.hellos.length - 1} times`]];
  },
  'a page that is begun twice has one connection': async () => {
    const { page, tv } = await live();
    await page.evaluate(() => { for (let times = 0; times < 3; times += 1) dispatchEvent(new Event('hashchange')); });
    await state(page, 'waiting');
    await pause(300);
    return [page, tv.open === 1 ? [] : [`it has ${tv.open}`]];
  },
  'a codec that is not decoded after all is not asked for again': async () => {
    const tv = new Portal('H264');
    const page = await open(TV, {
      tv,
      before: () => {
        globalThis.VideoDecoder = class {
          static async isConfigSupported() { return { supported: true }; }
          state = 'unconfigured';
          constructor({ error }) { this.error = error; }
          configure() { this.state = 'configured'; }
          decode() { setTimeout(() => this.error(new DOMException('no'))); }
          close() { this.state = 'closed'; }
        };
      },
    });
    await state(page, 'waiting');
    const asked = [tv.hellos[0].video];
    tv.say({ op: 'video', codec: 'avc1.42e01f' });
    const frame = Buffer.alloc(40);
    frame.writeUInt8(1, 0);
    frame.writeUInt8(1, 1);
    const end = Date.now() + 8_000;
    for (; tv.hellos.length < 2 && Date.now() < end; await pause(50)) tv.socket.send(frame);
    asked.push(tv.hellos[1]?.video);
    await settle(page, () => document.getElementById('state').textContent.startsWith('The picture is H.264 video'));
    return [page, JSON.stringify(asked) === '[["H264","VP8","JPEG"],["VP8","JPEG"]]' ? [] : [`it asked for ${JSON.stringify(asked)}`]];
  },
  'whoever has gone is seen no more, though a frame comes late, by WebSocket': async () => {
    const { page, tv } = await live();
    const wrong = await gone(page, tv, async () => {
      tv.socket.send(await picture(page, 320));
      await settle(page, () => document.getElementById('canvas').width === 320);
    });
    tv.say({ op: 'air', picture: 'JPEG' });
    tv.socket.send(await picture(page));
    await state(page, 'live');
    return [page, wrong];
  },
  'whoever has gone is seen no more, though frames come late, by WebRTC': async () => {
    const tv = new Portal('VP8');
    const offer = async (request) => ({ ...await HTTP.offer(request), body: await far.evaluate((sdp) => globalThis.answer(sdp, true), request.postData()) });
    const page = await open(`/portal/lobby/tv/#${token()}`, { tv, http: { offer } });
    await state(page, 'live');
    const frames = () => page.evaluate(() => document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames);
    const wrong = await gone(page, tv, async () => {
      const before = await frames();
      await settle(page, (till) => document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames > till, before + 15);
    });
    tv.say({ op: 'air', picture: 'VP8' });
    await state(page, 'live');
    return [page, wrong];
  },
  'without JavaScript it is said what is missing, in view': async () => {
    const wrong = [];
    for (const path of [TV, SHARE, JOIN]) {
      const page = await open(path, { javaScriptEnabled: false });
      await page.setViewportSize({ width: 900, height: 500 });
      // Playwright's getByText leaves `<noscript>` out.
      const { y, height } = await page.locator('noscript p').boundingBox({ timeout: 5_000 });
      if (path === TV && y + height > 500) wrong.push('it is not in view');
      if (await page.getByText('Connecting').isVisible()) wrong.push('it says that it connects');
      await page.context().close();
    }
    return [await open(TV), wrong];
  },
  'a screen reader is not told of everybody who speaks': async () => {
    const { page, tv } = await watched();
    await page.evaluate(() => {
      globalThis.changes = 0;
      const observer = new MutationObserver((changes) => { globalThis.changes += changes.length; });
      for (const it of document.querySelectorAll('[role="status"], [role="alert"], [aria-live]')) observer.observe(it, { childList: true, characterData: true, subtree: true });
    });
    for (let times = 0; times < 20; times += 1) tv.say({ op: 'speaking', id: 'c1', speaking: times % 2 === 0 });
    tv.say({ op: 'speaking', id: 'c1', speaking: true });
    await settle(page, () => document.querySelectorAll('#call .speaking').length === 2);
    const changes = await page.evaluate(() => globalThis.changes);
    return [page, changes === 0 ? [] : [`it was told of ${changes} changes`]];
  },
  'whoever leaves while the browser asks for the microphone is not joined by its answer': async () => {
    let offers = 0;
    const offer = (request) => {
      offers += 1;
      return HTTP.offer(request);
    };
    const page = await open(JOIN, {
      http: { offer },
      before: () => {
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
          await new Promise((resolve) => { globalThis.allow = resolve; });
          globalThis.given = await ask(wanted);
          return globalThis.given;
        };
      },
    });
    await page.click('#join');
    await page.click('#leave');
    await page.evaluate(() => globalThis.allow());
    await settle(page, () => globalThis.given?.getTracks().every((track) => track.readyState === 'ended'));
    return [page, offers === 0 && await page.evaluate(() => document.body.dataset.state) === 'idle' ? [] : ['it joined']];
  },
  'Enter presses what was chosen, and the focus is where it goes on': async () => {
    const page = await open(JOIN);
    await page.focus('#listen');
    await page.keyboard.press('Enter');
    await state(page, 'joined');
    const focus = () => page.evaluate(() => document.activeElement.id);
    const inside = await focus();
    await page.keyboard.press('Enter');
    await state(page, 'idle');
    const seen = [inside, await focus()];
    return [page, `${seen}` === 'leave,join' ? [] : [`the focus was on ${seen}`]];
  },
  'World TV goes to the bridge that has the portal': async () => {
    const two = await bridges();
    const page = await open(TV, { origin: two.first, tv: null });
    await state(page, 'lost');
    const stays = new URL(page.url()).origin;
    two.move();
    const { hash } = await arrives(page, two.second);
    two.close();
    return [page, stays === two.first && hash === new URL(TV, ORIGIN).hash ? [] : [`it was at ${stays}, and has ${hash}`]];
  },
  'whoever is in a call goes along when the portal moves to another bridge': async () => {
    const two = await bridges();
    let offers = 0;
    const offer = (request) => {
      offers += 1;
      return HTTP.offer(request);
    };
    const page = await joined('#listen', { origin: two.first, http: { offer } });
    await page.route(`${two.second}/**/peer`, async (route, request) => route.fulfill(await offer(request)));
    await page.route(`${two.first}/**`, (route) => route.continue());
    two.move();
    await far.evaluate(() => globalThis.gone());
    const { hash } = await arrives(page, two.second);
    await state(page, 'joined');
    const wrong = offers === 2 && hash === new URL(JOIN, ORIGIN).hash ? [] : [`${offers} offers, ${hash}`];
    // Somebody who was sent such a link is in no call before he wants to be.
    const made = await open(`${JOIN}&listening`);
    await settle(made, () => document.getElementById('portal').textContent === 'lobby, as Ada');
    if (await made.evaluate(() => document.body.dataset.state) !== 'idle') wrong.push('a link joins by itself');
    await made.context().close();
    two.close();
    return [page, wrong];
  },
  'whoever shares is told that the portal has moved, and may go on with the newest token': async () => {
    const two = await bridges();
    const newest = token({ name: 'Newest' });
    const air = () => ({ json: { connected: true, on_air: true, viewers: 3, token: newest } });
    const page = await shared('live', { origin: two.first, http: { air } });
    await page.waitForResponse(/\/air$/);
    await page.route(`${two.first}/**`, (route) => route.continue());
    two.move();
    const { hash } = await arrives(page, two.second);
    await settle(page, () => document.getElementById('error').textContent.startsWith('The portal has moved'));
    const seen = await page.evaluate(() => [document.body.dataset.state, document.getElementById('name').textContent]);
    two.close();
    return [page, `${seen}` === 'choose,Newest' && hash === `#${newest}` ? [] : [`it is ${seen}, ${hash}`]];
  },
  'a browser that starts no picture by itself is asked to when somebody presses Play': async () => {
    const page = await open(`/portal/lobby/tv/#${token()}`, {
      before: () => {
        let pressed = false;
        addEventListener('click', () => { pressed = true; }, true);
        HTMLMediaElement.prototype.play = async () => { if (!pressed) throw new DOMException('', 'NotAllowedError'); };
      },
    });
    await state(page, 'paused');
    await page.click('#play');
    await state(page, 'waiting');
    return [page, await page.evaluate(() => document.getElementById('play').hidden) ? [] : ['the button is there still']];
  },
  'a connection that comes back from an interruption counts its pictures once': async () => {
    const page = await open(`/portal/lobby/tv/#${token()}`, {
      before: () => {
        globalThis.loops = 0;
        HTMLVideoElement.prototype.requestVideoFrameCallback = () => { globalThis.loops += 1; };
        const Peer = globalThis.RTCPeerConnection;
        globalThis.RTCPeerConnection = class extends Peer {
          constructor(...more) {
            super(...more);
            globalThis.peer = this;
          }
        };
      },
    });
    await settle(page, () => globalThis.loops > 0);
    await page.evaluate(() => { for (let times = 0; times < 3; times += 1) globalThis.peer.dispatchEvent(new Event('connectionstatechange')); });
    const loops = await page.evaluate(() => globalThis.loops);
    return [page, loops === 1 ? [] : [`${loops} times`]];
  },
  'sound that is wanted twice at once is made once': async () => {
    const page = await open(TV);
    const made = await page.evaluate(async () => {
      let nodes = 0;
      const Node = globalThis.AudioWorkletNode;
      globalThis.AudioWorkletNode = class extends Node {
        constructor(...more) {
          super(...more);
          nodes += 1;
        }
      };
      const { Sound } = await import(new URL('sound.js', location.href));
      const sound = new Sound();
      await Promise.all([sound.start(), sound.start()]);
      return nodes;
    });
    return [page, made === 1 ? [] : [`${made} times`]];
  },
  'a screen on which nothing moves is not paused, a camera may be': async () => {
    const wrong = [];
    for (const [button, paused] of [['#screen', false], ['#camera', true]]) {
      const page = await open(SHARE, {
        before: () => {
          const media = navigator.mediaDevices;
          media.getDisplayMedia = async () => document.createElement('canvas').captureStream(1);
          const both = ['getDisplayMedia', 'getUserMedia'].map((name) => [name, media[name].bind(media)]);
          for (const [name, ask] of both) {
            media[name] = async (wanted) => {
              const stream = await ask(wanted);
              [globalThis.track] = stream.getVideoTracks();
              return stream;
            };
          }
        },
      });
      await page.click(button);
      await state(page, 'preview');
      await page.evaluate(() => {
        Object.defineProperty(globalThis.track, 'muted', { value: true });
        globalThis.track.dispatchEvent(new Event('mute'));
      });
      if (await page.evaluate(() => document.getElementById('paused').hidden) === paused) wrong.push(`${button}: ${paused ? 'it is not said' : 'it is said'}`);
      await page.context().close();
    }
    return [await open(SHARE), wrong];
  },
  'what a notch and Discord’s buttons cover has no controls': async () => {
    const page = await open(TV);
    const inside = await page.evaluate(() => {
      for (const [at, edge] of ['top', 'right', 'bottom', 'left'].entries()) document.documentElement.style.setProperty(`--discord-safe-area-inset-${edge}`, `${10 + at}px`);
      return getComputedStyle(document.querySelector('main')).padding;
    });
    return [page, inside === '10px 11px 12px 13px' ? [] : [`it leaves ${inside}`]];
  },
  'H264 is offered before all else where a browser encodes it': async () => {
    let sdp = '';
    const offer = (request) => {
      sdp = request.postData();
      return HTTP.offer(request);
    };
    const page = await shared('live', { http: { offer } });
    const able = await page.evaluate(() => RTCRtpSender.getCapabilities('video').codecs.some(({ mimeType }) => mimeType === 'video/H264'));
    const [, first] = /m=video \d+ \S+ (\d+)/.exec(sdp);
    const [, codec] = new RegExp(`a=rtpmap:${first} (\\w+)/`).exec(sdp);
    return [page, codec === (able ? 'H264' : 'VP8') ? [] : [`${codec} is first; H264 ${able ? 'is' : 'is not'} encoded`]];
  },
};

const wanted = ([name]) => only.length === 0 || only.some((it) => name.startsWith(it));
for (const [name, make] of Object.entries(STATES).filter(wanted)) {
  try {
    const [page, text] = await make();
    say({ state: name, wrong: await look(name, page, text) });
    await page.context().close();
  } catch (error) {
    say({ state: name, wrong: [String(error.stack)] });
  }
}
for (const [name, make] of Object.entries(DEEDS).filter(wanted)) {
  try {
    const [page, wrong] = await make();
    say({ state: name, wrong: [...wrong, ...page.wrong] });
    await page.context().close();
  } catch (error) {
    say({ state: name, wrong: [String(error.stack)] });
  }
}
served.close();
await browser.close();
