// Who is in the world and in the call, and who speaks.

const $ = (id) => document.getElementById(id);

/** The rows of both lists, by id: who stays keeps his row, so that nothing flickers and no screen reader is lost. */
const rows = new Map();

function row({ id, name }) {
  let it = rows.get(id);
  if (!it) {
    it = document.createElement('li');
    for (const part of ['face', 'name', 'says']) {
      const span = document.createElement('span');
      span.className = part;
      it.append(span);
    }
    it.firstChild.setAttribute('aria-hidden', 'true');
    rows.set(id, it);
  }
  const [face, called] = it.children;
  if (called.textContent !== name) {
    called.textContent = name;
    face.textContent = [...name.trim()][0]?.toUpperCase() ?? '?';
  }
  return it;
}

export function speaks(id, speaking) {
  const it = rows.get(id);
  if (!it) return;
  it.classList.toggle('speaking', speaking);
  it.lastChild.textContent = speaking ? 'speaks' : '';
}

/** Everybody, as the portal says it. */
export function show({ world, call, more }) {
  const there = [...world, ...call];
  const ids = new Set(there.map(({ id }) => id));
  for (const [id, it] of rows) {
    if (ids.has(id)) continue;
    it.remove();
    rows.delete(id);
  }
  for (const [list, people] of [['world', world], ['call', call]]) {
    people.forEach((person, at) => {
      const it = row(person);
      const list_ = $(list);
      if (list_.children[at] !== it) list_.insertBefore(it, list_.children[at] ?? null);
      speaks(person.id, person.speaking);
    });
    $(`no-${list}`).hidden = people.length > 0;
  }
  $('more').hidden = more === 0;
  $('more').textContent = more ? `and ${more} more` : '';
  $('count').textContent = String(there.length + more);
}

/** Nobody is known to speak any more. */
export function quiet() {
  for (const id of rows.keys()) speaks(id, false);
}
