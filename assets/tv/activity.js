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
  }).catch(() => { throw new Error('The server does not answer. Check your network, and try again.'); });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  // What is no answer of Uro's comes from a mapping that leads elsewhere.
  throw new Error(answer.message ?? `World TV is not set up right here: the server answered ${response.status}. Tell whoever runs this server to look at the Activity’s URL mappings.`);
}

/** What Discord calls the application. Its client shows an Activity at a host of that name, so nobody has to be asked. */
async function application() {
  const [, id] = /^(\d+)\.discordsays\.com$/.exec(location.hostname) ?? [];
  return id ?? (await ask(null)).client_id;
}

export class Activity {
  #sdk;
  #client;
  #pass = null;

  static async begin() {
    const client = await application();
    const sdk = new DiscordSDK(client);
    await within(READY, sdk.ready(), 'Discord does not answer. Close the Activity and open it again.');
    return new Activity(sdk, client);
  }

  constructor(sdk, client) {
    this.#sdk = sdk;
    this.#client = client;
  }

  /** `{portal, token}`, good for a while yet. Those who want it at the same time get the same. */
  pass(again = false) {
    const { until = Infinity } = this.#pass ?? {};
    if (again || !this.#pass || until - Date.now() < SOON) {
      const wanted = this.#ask();
      this.#pass = wanted;
      wanted.then(({ seconds }) => { wanted.until = Date.now() + seconds * 1000; }, () => {
        if (this.#pass === wanted) this.#pass = null;
      });
    }
    return this.#pass;
  }

  async #ask() {
    const { code } = await this.#sdk.commands.authorize({
      client_id: this.#client,
      response_type: 'code',
      state: '',
      prompt: 'none',
      scope: ['identify'],
    }).catch((error) => { throw new Error(`Discord does not say who you are (${error?.message ?? error}). Close the Activity, open it again, and allow it.`); });
    const { portal, token, expires_in: seconds } = await ask({ code });
    return { portal, token, seconds };
  }

  /** `changed(small)`: whether it is shown as a small picture beside something else. */
  async follow(changed) {
    // Picture in picture is 1, the grid is 2; -1 is a mode that this SDK does not know.
    const small = ({ layout_mode: mode }) => changed(mode > 0);
    await this.#sdk.subscribe(Events.ACTIVITY_LAYOUT_MODE_UPDATE, small).catch(() => {});
  }
}
