"""Alliance Auth, unmodified, with a Redis, a database, a worker and a web server of its own, for as long as `running` runs.

usage: alliance_auth.py FOLDER makes the empty database, for `install`.
"""

import contextlib
import ctypes
import html.parser
import os
import pathlib
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import wsgiref.simple_server

HERE = pathlib.Path(__file__).parent
DEADLINE = 30


def running(folder, **environment):
    """Everything: `environment` is what settings.py reads."""
    return _running(pathlib.Path(folder).resolve(), environment)


@contextlib.contextmanager
def _running(folder, environment):
    with contextlib.ExitStack() as stack:
        own = stack.enter_context(_redis(folder, environment))
        shutil.copy(folder / "empty.sqlite3", f"{own}/db.sqlite3")
        server = stack.enter_context(_Server(("127.0.0.1", 0), _Quiet))
        os.environ["AUTH_SITE"] = f"http://127.0.0.1:{server.server_port}"
        worker = stack.enter_context(
            _child(
                [folder / "venv/bin/celery", "-A", "project", "worker", "-P", "solo", "-Q", "services,celery"]
                + ["-l", "WARNING", "--without-gossip", "--without-mingle"],
                f"{own}/worker",
                cwd=folder / "project",
            )
        )
        # Both take seconds, each on a core.
        _set_up()
        from django.core.wsgi import get_wsgi_application

        server.set_app(get_wsgi_application())
        threading.Thread(target=server.serve_forever, daemon=True).start()
        auth = Auth(own)
        try:
            _until(lambda: auth.seen.get("ready"), "the worker is not ready", worker)
            yield auth
        except BaseException:
            for name in ("log", "worker"):
                with contextlib.suppress(FileNotFoundError):
                    print(f"{name}:\n{pathlib.Path(own, name).read_text()[-4000:]}", file=sys.stderr)
            raise


class Auth:
    """What a test or a bench asks of it."""

    def __init__(self, own):
        from redis import Redis

        self.seen = Redis(unix_socket_path=f"{own}/redis", db=2)
        self.broker = Redis(unix_socket_path=f"{own}/redis", db=0)

    def add_users(self, count, linked=(), rare=None):
        """Users in state Member, user i in the groups g(i mod 3) and g((i + 1) mod 3), each `rare`th in the group "rare" too, linked to
        these Discord ids, in order."""
        from allianceauth.authentication.models import State, User
        from allianceauth.eveonline.models import EveCorporationInfo
        from allianceauth.groupmanagement.models import Group
        from allianceauth.services.modules.discord.models import DiscordUser
        from allianceauth.tests.auth_utils import AuthUtils
        from django.utils.timezone import now

        member = State.objects.get(name="Member")
        corp, _ = EveCorporationInfo.objects.get_or_create(
            corporation_id=2345, defaults={"corporation_name": "Corp", "corporation_ticker": "CORP", "member_count": 1}
        )
        # Each signal would have the worker look at a user.
        AuthUtils.disconnect_signals()
        member.member_corporations.add(corp)
        member.permissions.add(AuthUtils.get_permission_by_name("discord.access_discord"))
        names = ("g0", "g1", "g2", "rare")
        groups = {name: Group.objects.get_or_create(name=name)[0] for name in names}
        users = []
        for i in range(count):
            user = User.objects.create_user(f"u{i}", password=None)
            user.groups.add(groups[f"g{i % 3}"], groups[f"g{(i + 1) % 3}"])
            if rare and i % rare == 0:
                user.groups.add(groups["rare"])
            AuthUtils.add_main_character_2(
                user, f"Pilot {i}", 90_000_000 + i, corp_id=2345, corp_name="Corp", corp_ticker="CORP", disconnect_signals=False
            )
            user.profile.state = member
            user.profile.save()
            if i < len(linked):
                DiscordUser.objects.create(user=user, uid=linked[i], username=f"user{i}", discriminator="0", activated=now())
            users.append(user)
        AuthUtils.connect_signals()
        return users

    def account(self, user):
        """The link of a user as it is in the database, or None."""
        from allianceauth.services.modules.discord.models import DiscordUser

        return DiscordUser.objects.filter(user=user).first()

    def deactivate(self, user):
        """As an admin locks a user; the services learn of it."""
        user.is_active = False
        user.save()
        self.settled()

    def rename(self, user, name):
        """As a main character gets another name; the services learn of it."""
        character = user.profile.main_character
        character.character_name = name
        character.save()
        self.settled()

    def browser(self, user, person):
        """A browser in which a user is logged in here, and somebody in Discord."""
        return Browser(_session(user), person)

    def run(self, task, *arguments):
        """Has the worker do a task and all that follows of it; the seconds that took."""
        from allianceauth.services.modules.discord import tasks

        begun = time.time()
        getattr(tasks, task).delay(*arguments)
        return self.settled() - begun

    def settled(self, deadline=3600):
        """Waits until the worker has nothing to do, now or later; when it did the last of it."""
        # Between two tasks a message is in none of these places for a moment.
        quiet, before, end = None, None, time.time() + deadline
        while time.time() < end:
            now = self._state()
            if now != before or now[0] or now[1] != now[2]:
                quiet = time.time()
            elif time.time() - quiet > 0.3:
                return float(self.seen.get("last"))
            before = now
            time.sleep(0.05)
        raise TimeoutError(f"the worker has still to do: {before}")

    def _state(self):
        waiting = self.broker.hlen("unacked")
        for key in self.broker.keys("*"):
            if self.broker.type(key) == b"list":
                waiting += self.broker.llen(key)
        return waiting, int(self.seen.get("begun") or 0), int(self.seen.get("ended") or 0)


class Browser:
    def __init__(self, session, person):
        import requests

        self.person = person
        self.requests = requests.Session()
        self.requests.cookies.set("sessionid", session, domain="127.0.0.1")

    def open(self, path):
        """A page of Alliance Auth; what it says of Discord."""
        return self._said(self.requests.get(os.environ["AUTH_SITE"] + path, timeout=DEADLINE))

    def link(self):
        """From the button "activate" through Discord's consent page and back; what the page then says."""
        answer = self.requests.get(f"{os.environ['AUTH_SITE']}/discord/activate/", allow_redirects=False, timeout=DEADLINE)
        url = answer.headers["location"] + "&as=" + urllib.parse.quote(self.person)
        page = self.requests.get(url, allow_redirects=False, timeout=DEADLINE)
        page.raise_for_status()
        if page.status_code == 200:
            form = _Form(page.text)
            page = self.requests.post(
                urllib.parse.urljoin(url, form.action), data=form.inputs | {"authorize": "true"}, allow_redirects=False, timeout=DEADLINE
            )
        if page.status_code not in (302, 303):
            raise AssertionError(f"consent: {page.status_code} {page.text[:500]}")
        return self._said(self.requests.get(page.headers["location"], timeout=DEADLINE))

    def _said(self, page):
        page.raise_for_status()
        return _Text(page.text).text


class _Text(html.parser.HTMLParser):
    """A page's words."""

    def __init__(self, page):
        super().__init__()
        self.words = []
        self.feed(page)
        self.text = " ".join(" ".join(self.words).split())

    def handle_data(self, data):
        self.words.append(data)


class _Form(html.parser.HTMLParser):
    """The form of a page that is sent by POST."""

    def __init__(self, page):
        super().__init__()
        self.action, self.inputs, self._inside = None, {}, False
        self.feed(page)
        if self.action is None:
            raise AssertionError(f"a page without a form: {page[:500]}")

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self._inside = self.action is None and attributes.get("method") == "post"
            if self._inside:
                self.action = attributes.get("action") or ""
        elif tag == "input" and self._inside and "name" in attributes:
            self.inputs[attributes["name"]] = attributes.get("value") or ""

    def handle_endtag(self, tag):
        if tag == "form":
            self._inside = False


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


def _session(user):
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return session.session_key


def _set_up():
    import django

    django.setup()


@contextlib.contextmanager
def _redis(folder, environment):
    """A Redis on a socket in a folder that goes with it, and the environment in which Django finds it."""
    # The former is a link to the latter, which looks at its name. Debian's redis-tools has only the latter; redis-server starts a service.
    program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if program is None:
        raise SystemExit("there is no Redis: install Debian's redis-tools, or any Redis with redis-server on the PATH")
    # A socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="auth-", dir="/tmp") as own:
        os.environ.update(environment)
        os.environ.update(
            AUTH_OWN=own, DJANGO_SETTINGS_MODULE="settings", PYTHONPATH=f"{HERE}:{folder / 'project'}", PYTHONDONTWRITEBYTECODE="1"
        )
        sys.path[:0] = [str(HERE), str(folder / "project")]
        command = ["redis-server", "--port", "0", "--unixsocket", f"{own}/redis", "--save", "", "--dir", own]
        with _child(command, f"{own}/redis.log", executable=program) as server:
            _until(lambda: os.path.exists(f"{own}/redis"), "Redis does not start", server)
            yield own


@contextlib.contextmanager
def _child(command, log, **options):
    """A process that ends with this one, however this one ends."""
    parent_dies = ctypes.CDLL(None).prctl
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=lambda: parent_dies(1, signal.SIGKILL), **options
        )
    try:
        yield process
    finally:
        # Nothing of it is kept.
        process.kill()
        process.wait()


def _until(true, complaint, process):
    end = time.time() + DEADLINE
    while not true():
        if time.time() > end or process.poll() is not None:
            raise RuntimeError(complaint)
        time.sleep(0.02)


def make_empty_database(folder):
    folder = pathlib.Path(folder).resolve()
    with _redis(folder, {}) as own:
        _set_up()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        from django.db import connection

        connection.close()
        shutil.copy(f"{own}/db.sqlite3", folder / "empty.sqlite3")


if __name__ == "__main__":
    make_empty_database(sys.argv[1])
