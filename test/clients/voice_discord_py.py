"""discord.py in a voice channel of discord-sim.

Told by the environment: DISCORD_API, DISCORD_GATEWAY, DISCORD_TOKEN, DISCORD_GUILD_ID, and SSL_CERT_FILE. Told by lines of JSON on
stdin (crates/sim/tests/voice_clients.rs, test/support/voice_client.ex), which voice_common.py reads. discord.py does not hand out what
it hears, so its packets are taken from its socket, and opened with its keys.
"""

import asyncio
import base64
import logging
import os

import davey
import discord
import yarl
from discord import gateway, http, voice_client, voice_state

from voice_common import FRAME, SILENCE, Tone, Voices, obey, pcm, tell, voice

SESSION_DESCRIPTION, SPEAKING = 4, 5


class Listener(voice_client.VoiceClient):
    """A voice client that keeps what it hears."""

    def __init__(self, client, channel):
        self.users = {}
        self.voices = Voices()
        super().__init__(client, channel)

    def create_connection_state(self):
        return voice_state.VoiceConnectionState(self, hook=self.on_voice_message)

    async def on_voice_message(self, _socket, message):
        if message["op"] == SPEAKING:
            self.users[message["d"]["ssrc"]] = int(message["d"]["user_id"])
        elif message["op"] == SESSION_DESCRIPTION:
            # Not before: with a listener, discord.py misses an answer to its IP discovery that comes at once.
            self._connection.add_socket_listener(self.on_packet)

    def on_packet(self, packet):
        heard = voice(packet, self._connection.secret_key)
        if heard is None or (user := self.users.get(heard[0])) is None:
            return
        frame, session = heard[1], self._connection.dave_session
        if session and session.ready and frame != SILENCE:
            try:
                frame = session.decrypt(user, davey.MediaType.audio, frame)
            except Exception:
                # It was not encrypted, or is of another epoch.
                pass
        self.voices.hear(user, frame)


class Judge(discord.Client):
    voice = None

    async def on_ready(self):
        tell("ready", user=str(self.user.id))
        self.loop.create_task(obey(self))

    async def join(self, channel):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        channel = guild.get_channel(int(channel))
        self.voice = await channel.connect(cls=Listener, timeout=30, self_deaf=False)
        tell("joined", mode=self.voice.mode)

    async def leave(self):
        await self.voice.disconnect()
        tell("left")

    async def speak(self, hertz, ms):
        done = asyncio.Event()
        self.voice.play(
            Tone(discord.AudioSource, hertz, ms),
            after=lambda _error: self.loop.call_soon_threadsafe(done.set),
        )
        await done.wait()
        tell("spoken")

    async def code(self):
        session = self.voice._connection.dave_session
        tell("code", code=session.voice_privacy_code if session else None)

    async def heard(self):
        tell("heard", voices=self.voice.voices.take())

    async def hears(self, user, frames):
        heard = self.loop.run_in_executor(None, self.voice.voices.wait, user, frames, 30)
        tell("hears" if await heard else "does not hear")

    async def encode(self, hertz, ms):
        """For those who have no encoder of their own: a tone's frames."""
        encoder = discord.opus.Encoder()
        frames = (encoder.encode(pcm(hertz), FRAME) for _ in range(ms // 20))
        tell("encoded", frames=[base64.b64encode(frame).decode() for frame in frames])

    async def decode(self, frames):
        """For those who have no decoder: what frames sound like, as mono samples of 16 bits."""
        decoder = discord.opus.Decoder()
        stereo = b"".join(decoder.decode(base64.b64decode(frame), fec=False) for frame in frames)
        left = b"".join(stereo[at : at + 2] for at in range(0, len(stereo), 4))
        tell("decoded", pcm=base64.b64encode(left).decode())

    async def quit(self):
        await self.close()


async def main():
    http.Route.BASE = os.environ["DISCORD_API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY"])
    async with Judge(intents=discord.Intents.all()) as judge:
        await judge.start(os.environ["DISCORD_TOKEN"])


discord.utils.setup_logging(level=logging.WARNING)
asyncio.run(main())
