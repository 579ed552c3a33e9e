// The token of a page's address. It is behind "#", which browsers send to nobody. Behind it, after "&", may stand what the page did when the portal moved.

/** What a token says of itself; it is the portal that checks it. */
function claims(token) {
  const [, body] = token.split('.');
  const bytes = Uint8Array.from(atob(body.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/**
 * Loads this page anew: its address leads to the bridge that has the portal by now, maybe on another host. The newest token goes along, since that of the link
 * may be over, and `doing`: a word, or ''.
 */
export function move(token, doing) {
  history.replaceState(null, '', `#${token}${doing && `&${doing}`}`);
  location.reload();
}

/** What it did when the portal moved; '' if it did not, or if this was asked before. */
export function moved() {
  const [token, doing = ''] = location.hash.split('&');
  // Whoever loads it again is not moved again.
  if (doing) history.replaceState(null, '', token);
  // A link that somebody made up does nothing by itself.
  return performance.getEntriesByType('navigation')[0]?.type === 'reload' ? doing : '';
}

/** `{token, said}`; throws what is wrong with it, for people. `anew` says how to come by another one. */
export function ticket(anew) {
  let token;
  let said;
  try {
    token = decodeURIComponent(location.hash.slice(1).split('&')[0]);
    if (token) said = claims(token);
  } catch {
    throw new Error('The token in this address is damaged. Open the whole link that you were given.');
  }
  if (!said) throw new Error('This address has no token. Open the whole link that you were given, with what comes after “#”.');
  if (said.exp * 1000 < Date.now()) throw new Error(`This link expired on ${new Date(said.exp * 1000).toLocaleString()}. ${anew}`);
  return { token, said };
}
