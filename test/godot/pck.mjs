// Writes Godot's packages (PCK, version 3, as of Godot 4.4): a header, the files, and a directory of them.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const FORMAT = 3;
const ENGINE = [4, 6, 0];
/** Where files are is counted from the header's end. */
const RELATIVE = 2;
const HEADER = 112;
const ALIGNMENT = 32;

const padded = (size, alignment) => Math.ceil(size / alignment) * alignment;

/** The files of folders by their paths in the project; those of later folders replace those of earlier ones. */
export function project(...folders) {
  const files = new Map();
  const add = (from, to) => {
    for (const name of readdirSync(from)) {
      const path = join(from, name);
      const place = to ? `${to}/${name}` : name;
      if (statSync(path).isDirectory()) add(path, place);
      else files.set(place, readFileSync(path));
    }
  };
  for (const folder of folders) add(folder, '');
  files.set('.godot/global_script_class_cache.cfg', Buffer.from(classes(files)));
  return files;
}

/** The list of classes that the editor makes of its scripts. */
function classes(files) {
  const list = [...files].filter(([path]) => path.endsWith('.gd')).flatMap(([path, text]) => {
    const name = /^class_name (\w+)/m.exec(text)?.[1];
    const base = /^extends (\w+)/m.exec(text)?.[1];
    return name ? [`{"base": &"${base}", "class": &"${name}", "icon": "", "is_abstract": false, "is_tool": false, "language": &"GDScript", "path": "res://${path}"}`] : [];
  });
  return `list=[${list.join(', ')}]\n`;
}

export function pack(files) {
  const entries = [...files].map(([path, data]) => ({ path: Buffer.from(path), data }));
  let size = 0;
  for (const entry of entries) {
    entry.offset = size;
    size = padded(size + entry.data.length, ALIGNMENT);
  }
  const header = Buffer.alloc(HEADER);
  header.write('GDPC');
  [FORMAT, ...ENGINE, RELATIVE].forEach((number, at) => header.writeUInt32LE(number, 4 + at * 4));
  header.writeBigUInt64LE(BigInt(HEADER), 24);
  header.writeBigUInt64LE(BigInt(HEADER + size), 32);
  const body = Buffer.alloc(size);
  const directory = entries.map(({ path, data, offset }) => {
    data.copy(body, offset);
    const length = padded(path.length, 4);
    const entry = Buffer.alloc(4 + length + 36);
    entry.writeUInt32LE(length);
    path.copy(entry, 4);
    entry.writeBigUInt64LE(BigInt(offset), 4 + length);
    entry.writeBigUInt64LE(BigInt(data.length), 12 + length);
    createHash('md5').update(data).digest().copy(entry, 20 + length);
    return entry;
  });
  const count = Buffer.alloc(4);
  count.writeUInt32LE(entries.length);
  return Buffer.concat([header, body, count, ...directory]);
}
