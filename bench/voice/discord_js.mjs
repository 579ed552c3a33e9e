// @discordjs/voice in a voice channel of discord-sim, told by lines as our own programs are: see program/src/lib.rs.

import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { Client, Events, GatewayIntentBits } = require('discord.js');
const voice = require('@discordjs/voice');

const FRAME = 120;
const fail = (error) => { console.error(error); process.exit(1); };

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildVoiceStates],
  // discord.js adds the version itself.
  rest: { api: process.env.DISCORD_API.replace(/\/v10$/, '') },
});

// Opus packets of 20 ms, CELT, stereo; what follows the TOC may be anything.
function* opus() {
  const frames = Array.from({ length: 50 }, () => Buffer.concat([Buffer.from([0xfc]), randomBytes(FRAME - 1)]));
  for (let number = 0; ; number += 1) yield frames[number % frames.length];
}

let connection;
let frames = 0;

const commands = {
  speak() {
    const player = voice.createAudioPlayer();
    connection.subscribe(player);
    player.play(voice.createAudioResource(Readable.from(opus()), { inputType: voice.StreamType.Opus }));
  },
  frames() {
    console.log(`frames ${frames}`);
  },
  async end() {
    connection.destroy();
    await client.destroy();
    process.exit(0);
  },
};

async function join() {
  const guild = client.guilds.cache.get(process.env.DISCORD_GUILD_ID);
  connection = voice.joinVoiceChannel({
    channelId: process.env.CHANNEL, guildId: guild.id, adapterCreator: guild.voiceAdapterCreator, selfDeaf: false,
  });
  connection.on('error', (error) => console.error('voice:', error.message));
  await voice.entersState(connection, voice.VoiceConnectionStatus.Ready, 30_000);
  connection.receiver.speaking.on('start', (user) => {
    if (connection.receiver.subscriptions.has(user)) return;
    const stream = connection.receiver.subscribe(user, { end: { behavior: voice.EndBehaviorType.Manual } });
    stream.on('data', (frame) => { if (frame.length === FRAME) frames += 1; });
    stream.on('error', (error) => console.error(`from ${user}:`, error.message));
  });
}

client.on(Events.Error, fail);
client.once(Events.ClientReady, async () => {
  await join();
  console.log('ready');
  for await (const line of createInterface({ input: process.stdin })) await commands[line]();
  await commands.end();
});

client.login(process.env.DISCORD_TOKEN).catch(fail);
