// What bench/gateway.exs asks for, as a user of discord.js would write it. See bench/program.ex for when it says what.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { Client, Events, GatewayIntentBits } = require('discord.js');

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let events = 0;

const client = new Client({
  intents: Object.values(GatewayIntentBits).filter((bit) => typeof bit === 'number'),
  // discord.js adds the version itself.
  rest: { api: process.env.DISCORD_API.replace(/\/v10$/, '') },
});

client.on(Events.GuildCreate, () => (events += 1));
client.on(Events.PresenceUpdate, () => (events += 1));
client.on(Events.MessageCreate, (message) => {
  events += 1;
  if (message.content.startsWith('stream ')) {
    if (message.content.endsWith('begins')) {
      events = 1;
      console.log('begins');
    } else {
      console.log(`ends ${events}`);
    }
  }
});

client.once(Events.ClientReady, async () => {
  console.log('ready');
  await lines.next();
  await client.destroy();
  process.exit(0);
});

client.login(process.env.DISCORD_TOKEN);
