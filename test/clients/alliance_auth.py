"""Alliance Auth uses Discord as it is told to, by lines of JSON on stdin, and says what it saw in lines of JSON."""

import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench/accounts/alliance_auth"))

import alliance_auth  # noqa: E402


def say(event, **facts):
    print(json.dumps({"event": event} | facts), flush=True)


def account(auth, user):
    account = auth.account(user)
    return account and {"uid": str(account.uid), "username": account.username, "discriminator": account.discriminator}


def main():
    # The real default has no version.
    base = os.environ["DISCORD_API"].removesuffix("v10") + os.environ.get("DISCORD_PREFIX", "")
    folder = os.environ["URO_DISCORD_ALLIANCE_AUTH"]
    with alliance_auth.running(folder, DISCORD_API=base, AUTH_SYNC_NAMES="1", RETRY_PAUSE="1") as auth:
        users = auth.add_users(2)
        say("ready")
        for line in sys.stdin:
            match json.loads(line):
                case {"link": number, "as": person}:
                    said = auth.browser(users[number], person).link()
                    activated = "Your Discord account has been successfully activated" in said
                    say("linked", activated=activated, shown=f"@{person}" in said, account=account(auth, users[number]))
                case {"open": path, "by": number}:
                    said = auth.browser(users[number], None).open(path)
                    say("opened", deactivated="Deactivated Discord account" in said, account=account(auth, users[number]))
                case {"run": task, "for": number}:
                    auth.run(task, users[number].pk)
                    say("ran", account=account(auth, users[number]))
                case {"run": task}:
                    auth.run(task)
                    say("ran", accounts=[account(auth, user) for user in users])
                case {"rename": number, "to": name}:
                    auth.rename(users[number], name)
                    say("renamed")
                case other:
                    raise ValueError(other)


main()
