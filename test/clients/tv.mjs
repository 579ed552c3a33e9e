// Chromium at World TV: as an Activity in discord-sim's stand-in for Discord's client, and as a plain page, by WebSocket and by WebRTC. Says by lines of JSON what it sees of each.
// With SHOTS=folder it leaves pictures there, of a phone and a desktop, dark and light.
// usage: tv.mjs COLOUR NAME=URL…     (colour as r,g,b; names: activity, socket, webrtc, and refused, which is to say why it shows nothing)
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');
const [, , colour, ...pages] = process.argv;
const wanted = colour.split(',').map(Number);
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks', '--allow-loopback-in-peer-connection'],
});

/** The frame in which World TV is: the page itself, or one inside of others. */
async function television(page) {
  for (const end = Date.now() + 20_000; ; ) {
    if (Date.now() > end) throw new Error(`no frame shows World TV: ${page.frames().map((it) => it.url().slice(0, 80))}`);
    const frame = page.frames().find((it) => /^https?:\/\/[^/]+\/portal\//.test(it.url()));
    if (frame) return frame;
    await page.waitForTimeout(50);
  }
}

const look = () => {
  const shown = document.getElementById('video').hidden ? document.getElementById('canvas') : document.getElementById('video');
  const width = shown.videoWidth ?? shown.width;
  let pixel = null;
  if (width > 0) {
    const canvas = new OffscreenCanvas(8, 8);
    const context = canvas.getContext('2d');
    context.drawImage(shown, 0, 0, 8, 8);
    pixel = [...context.getImageData(4, 4, 1, 1).data].slice(0, 3);
  }
  return {
    state: document.body.dataset.state,
    error: document.getElementById('error').textContent,
    way: shown.localName,
    pixel,
    world: [...document.querySelectorAll('#world .name')].map((it) => it.textContent),
    call: [...document.querySelectorAll('#call .name')].map((it) => it.textContent),
    speaking: [...document.querySelectorAll('li.speaking .name')].map((it) => it.textContent),
    sound: !document.getElementById('sound').hidden,
  };
};

const near = ({ state, pixel }) => state === 'live' && pixel?.every((part, at) => Math.abs(part - wanted[at]) < 60);
const good = (name, seen) => (name === 'refused' ? seen.state === 'refused' : near(seen) === true);

const SIZES = { desktop: { width: 1280, height: 720 }, phone: { width: 390, height: 844 } };

async function shots(page, name) {
  for (const [device, size] of Object.entries(SIZES)) {
    for (const colorScheme of ['dark', 'light']) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${process.env.SHOTS}/${name}-${device}-${colorScheme}.png` });
    }
  }
}

/** Looks until it is good, or for long enough. */
async function wait(page, name) {
  const began = Date.now();
  let seen = {};
  for (const end = began + 20_000; Date.now() < end && !good(name, seen); await page.waitForTimeout(50)) {
    const frame = await television(page);
    seen = await frame.evaluate(look).catch((error) => ({ error: String(error) }));
  }
  return { ...seen, good: good(name, seen), ms: Date.now() - began };
}

for (const given of pages) {
  const at = given.indexOf('=');
  const [name, url] = [given.slice(0, at), given.slice(at + 1)];
  const page = await browser.newPage({ viewport: SIZES.desktop });
  let address = url;
  if (name === 'activity') {
    // The SDK takes its parent for Discord's client at this address only, of those that are a secure context.
    const known = 'http://localhost:3333';
    const { origin } = new URL(url);
    address = url.replace(origin, known);
    await page.route(`${known}/**`, async (route) => {
      // One that waits when the page is closed is answered no more.
      const response = await route.fetch({ url: route.request().url().replace(known, origin) }).catch(() => null);
      await (response ? route.fulfill({ response }) : route.abort()).catch(() => {});
    });
  }
  const wrong = [];
  page.on('console', (line) => line.type() === 'error' && wrong.push(line.text()));
  page.on('pageerror', (error) => wrong.push(String(error)));
  await page.goto(address);
  const seen = await wait(page, name);
  if (process.env.SHOTS) await shots(page, name);
  let again = null;
  if (name === 'socket') {
    // With sound it is another conversation; and hidden, it is sent nothing until it is seen again.
    await page.keyboard.press('m');
    await page.evaluate(() => {
      for (const hidden of [true, false]) {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }
    });
    again = await wait(page, name);
    again.pressed = await page.getAttribute('#sound', 'aria-pressed');
  }
  say({ ...seen, name, wrong, again });
  await page.close();
}
await browser.close();
