"""Alliance Auth's settings as `allianceauth start` writes them, with a Discord, a Redis and a database of one run's own."""

import os
import time

from celery.signals import task_postrun, task_prerun, worker_ready
from project.settings.local import *  # noqa: F403
from redis import Redis

_own = os.environ["AUTH_OWN"]
_redis = f"{_own}/redis"

INSTALLED_APPS += ["allianceauth.services.modules.discord"]  # noqa: F405
BROKER_URL = f"redis+socket://{_redis}?virtual_host=0"
CACHES["default"]["LOCATION"] = f"unix://{_redis}?db=1"  # noqa: F405
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{_own}/db.sqlite3",
        "OPTIONS": {"timeout": 30, "init_command": "PRAGMA synchronous=OFF;", "transaction_mode": "IMMEDIATE"},
    }
}
# Its pages name files of a manifest, which nobody collects here.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # noqa: F405
SITE_URL = os.environ.get("AUTH_SITE", "http://127.0.0.1")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = False
ALLOWED_HOSTS, CSRF_TRUSTED_ORIGINS = ["*"], [SITE_URL]
EMAIL_BACKEND, ESI_USER_CONTACT_EMAIL = "django.core.mail.backends.locmem.EmailBackend", "nobody@example.invalid"
for _handler in LOGGING["handlers"].values():  # noqa: F405
    if "filename" in _handler:
        _handler["filename"] = f"{_own}/log"
for _logger in LOGGING["loggers"].values():  # noqa: F405
    _logger.update(handlers=["log_file"], level="INFO")

# The whole of what Alliance Auth asks for; its other settings are as they come. Whole values are strings: a setting whose type is not
# its default's is dropped.
DISCORD_API_BASE_URL = os.environ.get("DISCORD_API", "http://127.0.0.1/api/")
DISCORD_OAUTH_BASE_URL = f"{DISCORD_API_BASE_URL}oauth2/authorize"
DISCORD_OAUTH_TOKEN_URL = f"{DISCORD_API_BASE_URL}oauth2/token"
DISCORD_GUILD_ID = os.environ.get("DISCORD_GUILD_ID", "1")
DISCORD_APP_ID = os.environ.get("DISCORD_APP_ID", "1")
DISCORD_APP_SECRET = os.environ.get("DISCORD_APP_SECRET", "-")
DISCORD_BOT_TOKEN = os.environ.get("DISCORD_TOKEN", "-")
DISCORD_CALLBACK_URL = f"{SITE_URL}/discord/callback/"
DISCORD_SYNC_NAMES = os.environ.get("AUTH_SYNC_NAMES") == "1"
DISCORD_TASKS_RETRY_PAUSE = int(os.environ.get("RETRY_PAUSE", "60"))
# oauthlib refuses http:// otherwise.
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"

# What the worker does, for who waits until it has done everything.
_seen = Redis(unix_socket_path=_redis, db=2)


@worker_ready.connect
def _ready(**_):
    _seen.set("ready", 1)


@task_prerun.connect
def _begun(**_):
    _seen.incr("begun")


@task_postrun.connect
def _ended(**_):
    _seen.set("last", time.time())
    _seen.incr("ended")
