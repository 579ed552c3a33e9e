// discord.js against discord-sim: log in, see the guild, post, edit and read a message, set a presence, resume.
//
// Told by the environment: DISCORD_API, DISCORD_TOKEN, DISCORD_GUILD_ID, DISCORD_CHANNEL_ID, and NODE_MODULES, the folder
// where discord.js is. Prints what it sees as JSON lines, and ends after a message "goodbye" from somebody else. The test
// (crates/sim/tests/clients.rs) makes it reconnect before that.

import { createRequire } from 'node:module';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { ActivityType, ChannelType, Client, EmbedBuilder, Events, GatewayIntentBits } = require('discord.js');

const tell = (event, data = {}) => console.log(JSON.stringify({ event, ...data }));

const client = new Client({
  intents: [
    GatewayIntentBits.Guilds,
    GatewayIntentBits.GuildMessages,
    GatewayIntentBits.GuildPresences,
    GatewayIntentBits.MessageContent,
  ],
  // discord.js adds the version itself.
  rest: { api: process.env.DISCORD_API.replace(/\/v10$/, '') },
});

async function useDiscord() {
  const guild = client.guilds.cache.get(process.env.DISCORD_GUILD_ID);
  tell('ready', {
    user: client.user.id,
    guild: guild.name,
    channels: Object.fromEntries(guild.channels.cache.map((c) => [c.name, ChannelType[c.type]])),
    me: guild.members.me.user.username,
  });
  const channel = guild.channels.cache.get(process.env.DISCORD_CHANNEL_ID);
  const embed = new EmbedBuilder().setTitle('A title').setDescription('by discord.js').setColor(0x5865f2);
  const file = { attachment: Buffer.from('some bytes'), name: 'judge.txt' };
  const message = await channel.send({ content: 'first words', embeds: [embed], files: [file] });
  tell('posted', { id: message.id });
  await message.edit('second words');
  const read = await channel.messages.fetch({ message: message.id, force: true });
  const stored = await (await fetch(read.attachments.first().url)).text();
  tell('read', {
    id: read.id,
    content: read.content,
    edited: read.editedTimestamp !== null,
    embed: read.embeds[0].title,
    file: stored === 'some bytes',
  });
  tell('history', { ids: [...(await channel.messages.fetch({ limit: 5 })).keys()] });
  await (await channel.send('passing words')).delete();
  await channel.send('x'.repeat(2001)).catch((error) => {
    tell('refused', { status: error.status, code: error.code, text: error.message });
  });
  client.user.setPresence({
    status: 'idle',
    activities: [{ name: 'with discord.js', type: ActivityType.Playing }],
  });
  tell('waiting');
}

client.once(Events.ClientReady, () => useDiscord().catch(fail));
client.on(Events.ShardResume, () => tell('resumed'));
client.on(Events.Error, fail);
client.on(Events.MessageCreate, async (message) => {
  tell('message', { author: message.author.username, content: message.content });
  if (message.author.id !== client.user.id && message.content === 'goodbye') {
    await client.destroy();
    tell('closed');
  }
});

function fail(error) {
  console.error(error);
  process.exit(1);
}

client.login(process.env.DISCORD_TOKEN).catch(fail);
