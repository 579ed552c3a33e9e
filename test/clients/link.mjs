// A person's browser on the pages of /discord/link: links an account, looks at what the page is, is sent there by another site, and unlinks.
// Says what it saw as one line of JSON. usage: link.mjs URL-OF-/discord
import { createRequire } from 'node:module';
import { serve } from './browser.mjs';

const { chromium } = createRequire(`${process.env.NODE_MODULES}/`)('playwright-core');
const url = process.argv[2];
const seen = { refused: [] };

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
});

const context = await browser.newContext();
// Logged in at Uro and at Discord. Cookies are for a host, whatever its ports.
await context.addCookies([
  { name: 'uro', value: 'ada', url },
  { name: 'as', value: 'alice', url },
]);
const page = await context.newPage();
page.setDefaultTimeout(15_000);
const ours = (line) => line.type() === 'error' && line.location().url.startsWith(url);
page.on('console', (line) => ours(line) && seen.refused.push(line.text()));
page.on('pageerror', (error) => seen.refused.push(String(error)));

const look = () =>
  page.evaluate(() => {
    const style = (of) => getComputedStyle(document.querySelector(of));
    return {
      title: document.title,
      heading: document.querySelector('h1').textContent,
      // Of our own style, which the page's policy must let through.
      radius: style('main').borderTopLeftRadius,
      paper: style('body').backgroundColor,
    };
  });

// To Discord, and back.
await page.goto(`${url}/link?return_to=/settings`);
await page.locator('button[value=true]').click();
await page.locator('text=Go back').waitFor();
seen.linked = await look();
await page.emulateMedia({ colorScheme: 'dark' });
seen.dark = await look();
await page.locator('text=Your link').click();
await page.locator('button').waitFor();
// By keyboard: from the top of the page to the button.
seen.focused = [];
for (let tab = 0; tab < 4 && seen.focused.at(-1) !== 'BUTTON'; tab += 1) {
  await page.keyboard.press('Tab');
  seen.focused.push(await page.evaluate(() => document.activeElement.tagName));
}
const action = await page.locator('form').evaluate((form) => form.action);
seen.before = seen.refused.splice(0);

// Another site sends the same form, and has the page in a frame.
const evil = await serve((path) => ({
  type: 'text/html',
  body:
    path === '/frame'
      ? `<iframe src="${url}/link/done"></iframe>`
      : `<form method=post action="${action}"><button>win</button></form>`,
}));
const origin = evil.origin.replace('127.0.0.1', 'localhost');
await page.goto(`${origin}/`);
await page.locator('button').click();
await page.locator('h1').waitFor();
seen.forged = await look();
// And a site of the same host, on another port: for cookies it is the same site.
await page.goto(`${evil.origin}/`);
await page.locator('button').click();
await page.locator('h1').waitFor();
seen.neighbour = await look();
await page.goto(`${evil.origin}/frame`);
seen.framed = await page.frames()[1].evaluate(() => document.querySelector('h1')?.textContent ?? null);
evil.close();

// He himself, by the keyboard.
await page.goto(`${url}/link/done`);
await page.locator('button').focus();
await page.keyboard.press('Enter');
await page.locator('text=Link my Discord account').waitFor();
seen.unlinked = await look();

process.stdout.write(`${JSON.stringify(seen)}\n`);
await browser.close();
