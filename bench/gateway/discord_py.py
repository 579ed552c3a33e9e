"""What bench/gateway.exs asks for, as a user of discord.py would write it. See bench/program.ex for when it says what."""

import asyncio
import os
import sys
import traceback

import discord
import yarl
from discord import gateway, http


class Bot(discord.Client):
    events = 0

    async def on_ready(self):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await self.close()

    # Or else it would go on without having counted.
    async def on_error(self, event, *args):
        traceback.print_exc()
        await self.close()

    async def on_guild_join(self, guild):
        self.events += 1

    async def on_presence_update(self, before, after):
        self.events += 1

    async def on_message(self, message):
        self.events += 1
        if message.content.startswith("stream "):
            if message.content.endswith("begins"):
                self.events = 1
                print("begins", flush=True)
            else:
                print(f"ends {self.events}", flush=True)


async def main():
    http.Route.BASE = os.environ["DISCORD_API"]
    gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY"])
    async with Bot(intents=discord.Intents.all()) as bot:
        await bot.start(os.environ["DISCORD_TOKEN"])


discord.utils.setup_logging()
asyncio.run(main())
