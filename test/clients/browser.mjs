// Chromium with one page, told what to do by lines of JSON on stdin; says by lines of JSON on stdout what the page says.
// The page's own words are console lines that begin with "URO ": {"event": …}. Lines of ours go to its function `tell`, but for
//   {"do": "run", "script": …}     evaluates it, awaits what it promises, and answers {"event": "ran", "value": …}
//   {"do": "until", "script": …}   the same when it has come true
//   {"do": "go", "url": …}         opens another page, and answers {"event": "at", "url": …}
//   {"do": "click", "on": …}       clicks on what the selector finds, waits for the page that this leads to, and answers the same
//   {"do": "quit"}
// usage: browser.mjs URL FLAG…, or `browse` from another program.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

/** Serves files from memory or by a function, each { status, type, body, headers }, on loopback. */
export function serve(find) {
  const server = createServer((request, response) => {
    const file = find(new URL(request.url, 'http://page').pathname);
    response.writeHead(file?.status ?? (file ? 200 : 404), { 'content-type': file?.type ?? 'text/plain', ...file?.headers });
    response.end(file?.body);
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve({ origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() }));
  });
}

/** Playwright's own waiting is not for pages whose policy forbids eval. */
async function until(page, script) {
  for (;;) {
    const value = await page.evaluate(script);
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Chromium, for pages that speak WebRTC over loopback. */
export function launch(more = []) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--autoplay-policy=no-user-gesture-required',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      // Nobody here answers for a name by mDNS.
      '--disable-features=WebRtcHideLocalIpsWithMdns',
      // ICE leaves loopback out otherwise.
      '--allow-loopback-in-peer-connection',
      ...more,
    ],
  });
}

/** Opens a page, and goes on until stdin ends or it is told to quit. */
export async function browse(url, more = []) {
  const browser = await launch(more);
  const page = await browser.newPage();
  page.on('console', (line) => {
    const text = line.text();
    if (text.startsWith('URO ')) say(JSON.parse(text.slice(4)));
    else process.stderr.write(`${line.type()}: ${text}\n`);
  });
  page.on('pageerror', (error) => say({ event: 'failed', reason: String(error) }));
  page.on('crash', () => say({ event: 'failed', reason: 'the page crashed' }));
  await page.goto(url);
  for await (const line of createInterface({ input: process.stdin })) {
    const told = JSON.parse(line);
    if (told.do === 'quit') break;
    if (told.do === 'go') {
      await page.goto(told.url);
      say({ event: 'at', url: page.url() });
    } else if (told.do === 'click') {
      await Promise.all([page.waitForNavigation(), page.click(told.on, { noWaitAfter: true })]);
      say({ event: 'at', url: page.url() });
    } else if (told.do === 'run') say({ event: 'ran', value: (await page.evaluate(told.script)) ?? null });
    else if (told.do === 'until') say({ event: 'ran', value: await until(page, told.script) });
    else await page.evaluate((what) => globalThis.tell(what), told);
  }
  process.stdin.destroy();
  await browser.close();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await browse(process.argv[2], process.argv.slice(3));
