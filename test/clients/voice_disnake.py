"""disnake, with Discord's own DAVE library, in a voice channel of discord-sim. It sends; it does not hear.

Told by the environment: DISCORD_API, DISCORD_TOKEN, DISCORD_GUILD_ID, and SSL_CERT_FILE. Told by lines of JSON on stdin
(crates/sim/tests/voice_clients.rs), which voice_common.py reads.
"""

import asyncio
import logging
import os

import disnake
from disnake import http

from voice_common import Tone, obey, tell

http.Route.BASE = os.environ["DISCORD_API"]


class Judge(disnake.Client):
    voice = None

    async def on_ready(self):
        tell("ready", user=str(self.user.id))
        self.loop.create_task(obey(self))

    async def join(self, channel):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        self.voice = await guild.get_channel(int(channel)).connect(timeout=30)
        tell("joined", mode=self.voice.mode)

    async def leave(self):
        await self.voice.disconnect(force=True)
        tell("left")

    async def speak(self, hertz, ms):
        done = asyncio.Event()
        self.voice.play(
            Tone(disnake.AudioSource, hertz, ms),
            after=lambda _error: self.loop.call_soon_threadsafe(done.set),
        )
        await done.wait()
        tell("spoken")

    async def code(self):
        tell("code", code=self.voice.dave.voice_privacy_code)

    async def heard(self):
        tell("heard", voices={})

    async def quit(self):
        await self.close()


logging.basicConfig(level=logging.INFO)
Judge(intents=disnake.Intents.all()).run(os.environ["DISCORD_TOKEN"])
