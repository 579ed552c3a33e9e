// The token of a page's address. It is behind "#", which browsers send to nobody.

/** What a token says of itself; it is the portal that checks it. */
function claims(token) {
  const [, body] = token.split('.');
  const bytes = Uint8Array.from(atob(body.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}

/** `{token, said}`; throws what is wrong with it, for people. `anew` says how to come by another one. */
export function ticket(anew) {
  let token;
  let said;
  try {
    token = decodeURIComponent(location.hash.slice(1));
    if (token) said = claims(token);
  } catch {
    throw new Error('The token in this address is damaged. Open the whole link that you were given.');
  }
  if (!said) throw new Error('This address has no token. Open the whole link that you were given, with what comes after “#”.');
  if (said.exp * 1000 < Date.now()) throw new Error(`This link expired on ${new Date(said.exp * 1000).toLocaleString()}. ${anew}`);
  return { token, said };
}
