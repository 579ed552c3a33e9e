// In Discord: who looks, and a token for the portal of this voice channel. Only here the SDK is loaded.
import { DiscordSDK, Events } from './sdk.js';

/** How long Discord may take to be ready. Old versions of it answer once only, and never again after a reload. Milliseconds. */
const READY = 10_000;

/** A token that is good for less than this is as good as over. Milliseconds. */
const SOON = 60_000;

const within = (time, promise, message) => Promise.race([
  promise,
  new Promise((_, reject) => { setTimeout(() => reject(new Error(message)), time); }),
]);

/** Asks Uro. Its answers to what cannot be done have a message for people. */
async function ask(body) {
  const response = await fetch('/discord/activity', {
    method: body ? 'POST' : 'GET',
    headers: body ? { 'content-type': 'application/json' } : {},
    body: body && JSON.stringify(body),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message ?? `The server answered ${response.status}.`);
  return answer;
}

export class Activity {
  #sdk;
  #client;
  #pass = null;

  static async begin() {
    const { client_id: client } = await ask(null);
    const sdk = new DiscordSDK(client);
    await within(READY, sdk.ready(), 'Discord does not answer. Close the activity and open it again.');
    return new Activity(sdk, client);
  }

  constructor(sdk, client) {
    this.#sdk = sdk;
    this.#client = client;
  }

  /** `{portal, token}`, good for a while yet. */
  async pass(again = false) {
    if (!again && this.#pass && this.#pass.until - Date.now() > SOON) return this.#pass;
    const { code } = await this.#sdk.commands.authorize({
      client_id: this.#client,
      response_type: 'code',
      state: '',
      prompt: 'none',
      scope: ['identify'],
    });
    const { instanceId: instance } = this.#sdk;
    const { portal, token, expires_in: seconds } = await ask({ code, instance });
    this.#pass = { portal, token, until: Date.now() + seconds * 1000 };
    return this.#pass;
  }

  /** `changed(small)`: whether it is shown as a small picture beside something else. */
  async follow(changed) {
    const small = ({ layout_mode: mode }) => changed(mode !== 0);
    await this.#sdk.subscribe(Events.ACTIVITY_LAYOUT_MODE_UPDATE, small).catch(() => {});
  }
}
