"""A real authorization server on loopback, Authlib's, at http://127.0.0.1:PORT/oidc; everything in memory.

OIDC_PORT     port to listen on
OIDC_CLIENTS  JSON array of { client_id, client_secret }

Grant `urn:test:direct` issues an access and a refresh token for any `sub`, without a browser. A client may introspect its own tokens alone.
Standard output: {"issuer":...} when ready.
"""
import json
import os
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import BaseGrant, ClientMixin, TokenEndpointMixin, TokenMixin
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Flask
from werkzeug.serving import make_server

# Loopback, where plain HTTP is meant.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

METHODS = ["client_secret_basic", "client_secret_post"]
HOUR = 3600


class Client(ClientMixin):
    def __init__(self, client_id, client_secret):
        self.client_id, self.client_secret = client_id, client_secret

    def get_client_id(self):
        return self.client_id

    def check_client_secret(self, client_secret):
        return self.client_secret == client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method in METHODS

    def check_grant_type(self, grant_type):
        return grant_type == Direct.GRANT_TYPE

    def get_allowed_scope(self, scope):
        return ""


class Token(TokenMixin):
    def __init__(self, client, sub):
        self.client_id, self.sub, self.issued_at, self.revoked = client.client_id, sub, time.time(), False

    def check_client(self, client):
        return self.client_id == client.client_id

    def is_expired(self):
        return time.time() > self.issued_at + HOUR

    def is_revoked(self):
        return self.revoked


class Direct(BaseGrant, TokenEndpointMixin):
    GRANT_TYPE = "urn:test:direct"
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def validate_token_request(self):
        self.request.client = self.authenticate_token_endpoint_client()

    def create_token_response(self):
        answer = self.generate_token(user=None, scope="", grant_type=self.GRANT_TYPE, expires_in=HOUR, include_refresh_token=True)
        self.request.user = self.request.form["sub"]
        self.save_token(answer)
        return 200, answer, self.TOKEN_RESPONSE_HEADER


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def revoke_token(self, token, request):
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return tokens.get(token_string)

    def check_permission(self, token, client, request):
        return token.check_client(client)

    def introspect_token(self, token):
        return {"active": True, "client_id": token.client_id, "sub": token.sub}


port = int(os.environ["OIDC_PORT"])
issuer = f"http://127.0.0.1:{port}/oidc"
clients = {client["client_id"]: Client(**client) for client in json.loads(os.environ["OIDC_CLIENTS"])}
tokens = {}


def save_token(answer, request):
    for kind in ("access_token", "refresh_token"):
        tokens[answer[kind]] = Token(request.client, request.user)


app = Flask(__name__)
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
server = AuthorizationServer(app, query_client=clients.get, save_token=save_token)
server.register_grant(Direct)
server.register_endpoint(Revocation)
server.register_endpoint(Introspection)


@app.route("/oidc/token", methods=["POST"])
def token():
    return server.create_token_response()


@app.route("/oidc/token/<endpoint>", methods=["POST"])
def about_token(endpoint):
    return server.create_endpoint_response(endpoint)


@app.route("/oidc/.well-known/openid-configuration")
def metadata():
    endpoints = {f"{name}_endpoint": f"{issuer}/token/{name}" for name in ("revocation", "introspection")}
    return {"issuer": issuer, "token_endpoint": f"{issuer}/token", **endpoints}


listening = make_server("127.0.0.1", port, app, threaded=True)
print(json.dumps({"issuer": issuer}, separators=(",", ":")), flush=True)
listening.serve_forever()
