// Lists of people, and who of them speaks.

export class People {
  /** Who stays keeps his row, so that nothing flickers and no screen reader loses its place. */
  #rows = new Map();

  /** `lists`: of each `<ul>`, who is to be in it: `{id, name, speaking}`. */
  show(lists) {
    const ids = new Set(lists.flatMap(([, people]) => people.map(({ id }) => id)));
    for (const [id, row] of this.#rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    for (const [list, people] of lists) {
      people.forEach((person, at) => {
        const row = this.#row(person);
        if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
        this.speaks(person.id, person.speaking);
      });
    }
  }

  speaks(id, speaking) {
    const row = this.#rows.get(id);
    if (!row) return;
    row.classList.toggle('speaking', speaking);
    row.lastChild.textContent = speaking ? 'speaks' : '';
  }

  /** Nobody is known to speak any more. */
  quiet() {
    for (const id of this.#rows.keys()) this.speaks(id, false);
  }

  #row({ id, name }) {
    let row = this.#rows.get(id);
    if (!row) {
      row = document.createElement('li');
      for (const part of ['face', 'name', 'says']) {
        const span = document.createElement('span');
        span.className = part;
        row.append(span);
      }
      row.firstChild.setAttribute('aria-hidden', 'true');
      this.#rows.set(id, row);
    }
    const [face, called] = row.children;
    if (called.textContent !== name) {
      called.textContent = name;
      // Of one line only, so the whole name has to be somewhere.
      called.title = name;
      face.textContent = [...name.trim()][0]?.toUpperCase() ?? '?';
    }
    return row;
  }
}
