// @discordjs/voice in a voice channel of discord-sim.
//
// Told by the environment: DISCORD_API, DISCORD_TOKEN, DISCORD_GUILD_ID, NODE_EXTRA_CA_CERTS, and NODE_MODULES, the folder where
// discord.js is. Told by lines of JSON on stdin (crates/sim/tests/voice_clients.rs): {"do": a name below, its arguments}.

import { EventEmitter, once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { Client, Events, GatewayIntentBits } = require('discord.js');
const voice = require('@discordjs/voice');

// Half a second of what somebody said last is kept.
const KEPT = 25;
const SILENCE = Buffer.from([0xf8, 0xff, 0xfe]);

const tell = (event, data = {}) => console.log(JSON.stringify({ event, ...data }));
const fail = (error) => { console.error(error); process.exit(1); };

const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildVoiceStates],
  rest: { api: process.env.DISCORD_API.replace(/\/v10$/, '') },
});

let connection;
let player;
let heard = {};
// Says of whom something was heard.
const ears = new EventEmitter();

// Subscribes to a user, and again when an error ends the subscription.
function listenTo(user) {
  if (connection.receiver.subscriptions.has(user)) return;
  const stream = connection.receiver.subscribe(user, { end: { behavior: voice.EndBehaviorType.Manual } });
  stream.on('data', (frame) => {
    if (frame.equals(SILENCE)) return;
    const said = heard[user] ?? { frames: 0, last: [] };
    heard[user] = { frames: said.frames + 1, last: [...said.last, frame.toString('base64')].slice(-KEPT) };
    ears.emit(user);
  });
  stream.on('error', (error) => console.error(`from ${user}:`, error.message));
}

const commands = {
  async join({ channel }) {
    const guild = client.guilds.cache.get(process.env.DISCORD_GUILD_ID);
    connection = voice.joinVoiceChannel({
      channelId: channel, guildId: guild.id, adapterCreator: guild.voiceAdapterCreator, selfDeaf: false, debug: true,
    });
    connection.on('debug', (text) => process.env.DEBUG && console.error(text));
    connection.on('error', (error) => console.error('voice:', error.message));
    await voice.entersState(connection, voice.VoiceConnectionStatus.Ready, 30_000);
    connection.receiver.speaking.on('start', listenTo);
    tell('joined', { mode: connection.state.networking.state.connectionData.encryptionMode });
  },
  async leave() {
    player?.stop(true);
    connection.destroy();
    tell('left');
  },
  // Its encoder in WebAssembly, opusscript, cannot be had more than once in a process: it is given frames. With `again` they are spoken
  // on and on, while other lines are read.
  async speak({ frames, again = false }) {
    await voice.entersState(connection, voice.VoiceConnectionStatus.Ready, 30_000);
    const speech = frames.map((frame) => Buffer.from(frame, 'base64'));
    const opus = Readable.from((function* () { do yield* speech; while (again); })());
    player = voice.createAudioPlayer();
    connection.subscribe(player);
    player.play(voice.createAudioResource(opus, { inputType: voice.StreamType.Opus }));
    await voice.entersState(player, voice.AudioPlayerStatus.Playing, 10_000);
    if (again) return tell('speaking');
    await voice.entersState(player, voice.AudioPlayerStatus.Idle, 60_000);
    tell('spoken');
  },
  code() {
    tell('code', { code: connection.state.networking.state.dave?.voicePrivacyCode ?? null });
  },
  heard() {
    tell('heard', { voices: heard });
    heard = {};
  },
  // Waits for so many frames of somebody since the last time.
  async hears({ user, frames }) {
    while ((heard[user]?.frames ?? 0) < frames) await once(ears, user);
    tell('hears');
  },
  async quit() {
    // One that plays on keeps the process.
    player?.stop(true);
    await client.destroy();
  },
};

client.on(Events.Error, fail);
client.once(Events.ClientReady, async () => {
  tell('ready', { user: client.user.id });
  for await (const line of createInterface({ input: process.stdin })) {
    const { do: name, ...given } = JSON.parse(line);
    try {
      await commands[name](given);
    } catch (error) {
      tell('failed', { error: String(error) });
      throw error;
    }
  }
  await commands.quit();
});

client.login(process.env.DISCORD_TOKEN).catch(fail);
