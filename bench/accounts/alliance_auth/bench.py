"""What bench/accounts.exs asks for, by Alliance Auth. See bench/program.ex for when it says what."""

import json
import os
import sys

import alliance_auth


def say(*words):
    print(*words, flush=True)


def main():
    with open(os.environ["MEMBERS"]) as file:
        members = file.read().split()
    base = os.environ["DISCORD_API"].removesuffix("v10")
    with alliance_auth.running(os.environ["URO_DISCORD_ALLIANCE_AUTH"], DISCORD_API=base) as auth:
        users = auth.add_users(len(members), linked=members, rare=100)
        say("ready")
        for line in sys.stdin:
            match line.split():
                case ["sync"]:
                    say("synced", json.dumps({"seconds": round(auth.run("update_all_groups"), 3)}))
                case ["lock", number]:
                    auth.deactivate(users[int(number)])
                    say("locked")
                case ["end"]:
                    return
                case _:
                    raise ValueError(line)


main()
