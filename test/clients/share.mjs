// Chromium with a camera that is none at the page by which people share, and another page of it that watches by WHEP. Driven by lines on stdin, and says by lines of JSON what is seen.
// With SHOTS=folder it leaves pictures of each state there, of a phone and a desktop, dark and light.
//   share URL        opens the page, takes the camera, looks at what is said, and goes on air; waits until it is, or is refused
//   watch URL TOKEN  watches, until a picture moves that is the one of the preview
//   wait STATE       until the page is in this state
// usage: share.mjs
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--disable-features=WebRtcHideLocalIpsWithMdns',
    '--allow-loopback-in-peer-connection',
  ],
});

const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };

const page = await browser.newPage({ viewport: SIZES.desktop });
const wrong = [];
page.on('pageerror', (error) => wrong.push(String(error)));

async function shot(name) {
  if (!process.env.SHOTS) return;
  for (const [device, size] of Object.entries(SIZES)) {
    for (const colorScheme of ['dark', 'light']) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${process.env.SHOTS}/${name}-${device}-${colorScheme}.png`, fullPage: true });
    }
  }
}

const look = () => ({
  state: document.body.dataset.state,
  air: document.body.dataset.air,
  said: document.getElementById('state').textContent,
  seen: document.getElementById('seen').textContent,
  error: document.getElementById('error').textContent,
  notice: !document.getElementById('notice').hidden && document.getElementById('notice').textContent,
  focused: document.activeElement?.id,
  tracks: document.getElementById('preview').srcObject?.getTracks().map((track) => track.readyState) ?? [],
});

/** Looks until it is so. */
async function until(of, test, argument) {
  for (const end = Date.now() + 20_000; Date.now() < end; await of.waitForTimeout(50)) {
    if (await of.evaluate(test, argument)) return true;
  }
  return false;
}

/** The mean colour of a picture, and whether it moves. */
const picture = async () => {
  const video = document.querySelector('video');
  const canvas = new OffscreenCanvas(32, 18);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const pixels = () => {
    context.drawImage(video, 0, 0, 32, 18);
    return context.getImageData(0, 0, 32, 18).data;
  };
  if (!video?.videoWidth) return null;
  const before = pixels();
  await new Promise((resolve) => setTimeout(resolve, 400));
  const after = pixels();
  const mean = [0, 1, 2].map((part) => after.reduce((sum, value, at) => sum + (at % 4 === part ? value : 0), 0) / (32 * 18));
  return { mean, moved: after.some((value, at) => Math.abs(value - before[at]) > 20), width: video.videoWidth };
};

const watchWhep = async ({ url, token }) => {
  const connection = new RTCPeerConnection();
  connection.addTransceiver('video', { direction: 'recvonly' });
  const video = document.body.appendChild(document.createElement('video'));
  video.muted = video.autoplay = true;
  connection.ontrack = ({ streams }) => { video.srcObject = streams[0]; };
  globalThis.watching = connection;
  await connection.setLocalDescription();
  const answer = await fetch(url, {
    method: 'POST', headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` }, body: connection.localDescription.sdp,
  });
  if (answer.status !== 201) throw new Error(await answer.text());
  await connection.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
};

const doing = {
  async share(url) {
    // The same address again would be the same page.
    await page.goto('about:blank');
    await page.goto(url);
    await shot('choose');
    const before = await page.evaluate(look);
    await page.keyboard.press('Tab');
    await page.click('#camera');
    await until(page, () => document.body.dataset.state === 'preview' && document.getElementById('preview').videoWidth > 0);
    await shot('preview');
    const preview = await page.evaluate(look);
    // The button has the focus.
    await page.keyboard.press('Enter');
    await until(page, () => document.body.dataset.air === 'yes' || document.body.dataset.state === 'ended');
    const good = await page.evaluate(() => document.body.dataset.air === 'yes');
    return { good, before, preview, live: await page.evaluate(look) };
  },
  async watch(url, token) {
    const own = await page.evaluate(picture);
    const viewer = await browser.newPage();
    // A page of the same origin.
    await viewer.goto(new URL('.', url).href);
    await viewer.evaluate(watchWhep, { url, token });
    let seen = null;
    for (const end = Date.now() + 20_000; Date.now() < end && !seen?.good; await viewer.waitForTimeout(50)) {
      seen = await viewer.evaluate(picture);
      if (seen) seen.good = seen.moved && seen.mean.every((part, at) => Math.abs(part - own.mean[at]) < 30);
    }
    const counted = await until(page, () => document.getElementById('seen').textContent === 'On air: 1 person sees you');
    await shot('live');
    return { own, seen, counted, live: await page.evaluate(look) };
  },
  async wait(state) {
    const good = await until(page, (wanted) => document.body.dataset.state === wanted, state);
    await shot(state);
    return { good, ...(await page.evaluate(look)) };
  },
};

say({ did: 'ready' });
for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...rest] = line.split(' ');
  try {
    say({ did: what, ...(await doing[what](...rest)), wrong });
  } catch (error) {
    say({ did: what, failed: String(error), wrong });
  }
}
await browser.close();
