"""discord.py in a voice channel of discord-sim, told by lines as our own programs are: see program/src/lib.rs.

It does not hand out what it hears, so it only speaks.
"""

import asyncio
import itertools
import os
import sys

import discord
import yarl
from discord import gateway, http

FRAME = 120


class Opus(discord.AudioSource):
    """Opus packets of 20 ms, CELT, stereo; what follows the TOC may be anything."""

    def __init__(self):
        self.frames = itertools.cycle([b"\xfc" + os.urandom(FRAME - 1) for _ in range(50)])

    def read(self):
        return next(self.frames)

    def is_opus(self):
        return True


class Bot(discord.Client):
    async def on_ready(self):
        guild = self.get_guild(int(os.environ["DISCORD_GUILD_ID"]))
        voice = await guild.get_channel(int(os.environ["CHANNEL"])).connect(timeout=30)
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while (line := await loop.run_in_executor(None, sys.stdin.readline)).strip() == "speak":
            voice.play(Opus())
        await voice.disconnect()
        await self.close()


async def main():
    http.Route.BASE = os.environ["DISCORD_API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY"])
    async with Bot(intents=discord.Intents.default()) as bot:
        await bot.start(os.environ["DISCORD_TOKEN"])


asyncio.run(main())
