// oauth4webapi as an application that users log in to, which believes nothing that a standard does not say: discovery, `iss`, PKCE, HTTP
// Basic. Says where the user is to be sent, and what it gets for the code that he brings. Ends at the end of stdin; each line there
// is one more try.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const oauth = await import(pathToFileURL(`${process.env.NODE_MODULES}/oauth4webapi/build/index.js`));

const say = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const plain = { [oauth.allowInsecureRequests]: true };
const api = process.env.DISCORD_API;

let came;
const server = createServer((request, response) => {
  const url = new URL(request.url, origin);
  response.setHeader('content-type', 'text/html');
  response.end('<title>here</title>');
  if (url.pathname === '/callback') came(url);
});
await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
const origin = `http://127.0.0.1:${server.address().port}`;

async function logIn() {
  const issuer = new URL(new URL(process.env.DISCORD_OAUTH).origin);
  const discovered = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...plain });
  const as = await oauth.processDiscoveryResponse(issuer, discovered);
  const client = { client_id: process.env.DISCORD_CLIENT_ID };
  const secret = oauth.ClientSecretBasic(process.env.DISCORD_CLIENT_SECRET);
  const redirect = `${origin}/callback`;
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const url = new URL(as.authorization_endpoint);
  const query = {
    client_id: client.client_id,
    response_type: 'code',
    scope: 'identify guilds',
    redirect_uri: redirect,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  const arrived = new Promise((resolve) => { came = resolve; });
  say('authorize', { url: url.href });
  let params;
  try {
    params = oauth.validateAuthResponse(as, client, await arrived, state);
  } catch (error) {
    if (!(error instanceof oauth.AuthorizationResponseError)) throw error;
    say('refused', { error: error.error, description: error.error_description });
    return;
  }
  const exchange = async () => {
    const response = await oauth.authorizationCodeGrantRequest(as, client, secret, params, redirect, verifier, plain);
    return oauth.processAuthorizationCodeResponse(as, client, response);
  };
  const ask = (token) => oauth.protectedResourceRequest(token, 'GET', new URL(`${api}/users/@me`), undefined, undefined, plain);
  const token = await exchange();
  const me = await (await ask(token.access_token)).json();
  say('me', { name: me.username, id: me.id, scope: token.scope, lasts: token.expires_in });
  try {
    await exchange();
  } catch (error) {
    if (!(error instanceof oauth.ResponseBodyError)) throw error;
    say('replayed', { error: error.error });
  }
  const response = await oauth.refreshTokenGrantRequest(as, client, secret, token.refresh_token, plain);
  const fresh = await oauth.processRefreshTokenResponse(as, client, response);
  const again = await (await ask(fresh.access_token)).json();
  say('refreshed', { name: again.username, rotated: fresh.refresh_token !== token.refresh_token });
  const revoked = await oauth.revocationRequest(as, client, secret, fresh.refresh_token, plain);
  await oauth.processRevocationResponse(revoked);
  const after = await ask(fresh.access_token);
  say('revoked', { status: revoked.status, after: after.status });
}

for await (const _ of createInterface({ input: process.stdin })) await logIn();
server.close();
