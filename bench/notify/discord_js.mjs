// What bench/notify.exs asks for, as a user of discord.js would write it. See bench/program.ex for when it says what.

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { Client, Events, GatewayIntentBits } = require('discord.js');

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ids = process.env.DISCORD_CHANNELS.split(',');
const count = Number(process.env.MESSAGES);

const client = new Client({
  intents: [GatewayIntentBits.Guilds],
  // discord.js adds the version itself.
  rest: { api: process.env.DISCORD_API.replace(/\/v10$/, '') },
});

client.once(Events.ClientReady, async () => {
  const channels = ids.map((id) => client.channels.cache.get(id));
  console.log('ready');
  await lines.next();
  await Promise.all(
    channels.map(async (channel, first) => {
      for (let n = first; n < count; n += channels.length) {
        await channel.send(`Notification ${n}: a new world is open`);
      }
    }),
  );
  console.log('sent');
  await lines.next();
  await client.destroy();
  process.exit(0);
});

client.login(process.env.DISCORD_TOKEN);
