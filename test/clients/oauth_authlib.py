"""Authlib as an application that users log in to: says where the user is to be sent, and what it gets for the code that he brings.
Ends at the end of stdin; each line there is one more try."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from authlib.common.security import generate_token
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

API = os.environ["DISCORD_API"]


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Callback(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.came = f"{self.server.origin}{self.path}"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>here</title>")

    def log_message(self, *_):
        pass


def log_in(server):
    session = OAuth2Session(
        os.environ["DISCORD_CLIENT_ID"],
        os.environ["DISCORD_CLIENT_SECRET"],
        scope="identify guilds.join",
        redirect_uri=f"{server.origin}/callback",
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_post",
        revocation_endpoint_auth_method="client_secret_post",
    )
    verifier = generate_token(48)
    url, state = session.create_authorization_url(os.environ["DISCORD_OAUTH"], code_verifier=verifier)
    say("authorize", url=url)
    server.came = None
    while server.came is None or "/callback" not in server.came:
        server.handle_request()

    def fetch():
        return session.fetch_token(
            f"{API}/oauth2/token", authorization_response=server.came, state=state, code_verifier=verifier
        )

    try:
        token = fetch()
    except OAuthError as error:
        say("refused", error=error.error, description=error.description)
        return
    me = session.get(f"{API}/users/@me").json()
    say("me", name=me["username"], id=me["id"], scope=token["scope"], lasts=token["expires_in"])
    try:
        fetch()
    except OAuthError as error:
        say("replayed", error=error.error)
    session.token = token
    new = session.refresh_token(f"{API}/oauth2/token", refresh_token=token["refresh_token"])
    again = session.get(f"{API}/users/@me").json()
    say("refreshed", name=again["username"], rotated=new["refresh_token"] != token["refresh_token"])
    revoked = session.revoke_token(
        f"{API}/oauth2/token/revoke", token=new["access_token"], token_type_hint="access_token"
    )
    after = session.get(f"{API}/users/@me")
    say("revoked", status=revoked.status_code, after=after.status_code)


def main():
    server = HTTPServer(("127.0.0.1", 0), Callback)
    server.origin = f"http://127.0.0.1:{server.server_port}"
    for _ in sys.stdin:
        log_in(server)


main()
