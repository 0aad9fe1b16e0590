"""A denylist of revoked tokens, kept up to date from RabbitMQ. Python 3.11 or later, pika 1.2 or later. See docs/verifiers.md."""
import base64, hashlib, json, math, os, pika, sys, threading, time
from datetime import datetime, timedelta, timezone
NAMES = [("session", "sid"), ("subject", "sub"), ("client", "azp"), ("client", "client_id"), ("issuer", "iss")]
def seconds(text): return datetime.fromisoformat(text).timestamp()
class Denylist:
    def __init__(self, amqp_url, max_token_lifetime):
        self.url, self.denied, self.heartbeat = amqp_url, {}, 0
        self.read, self.waiting = {}, []  # the last number read of each publisher; heartbeats that name more than that
        self.since = datetime.now(timezone.utc) - max_token_lifetime  # what was published before that matters no more
        self.next = self.since - timedelta(minutes=10)  # clocks may differ
        threading.Thread(target=self._run, daemon=True).start()
    def _run(self):
        while True:
            try:  # A lost connection is dropped, not closed: pika would nack what it holds, and a stream takes no nack.
                channel = pika.BlockingConnection(pika.URLParameters(self.url)).channel()
                channel.basic_qos(prefetch_count=300)
                self.waiting.clear()  # the last minute's heartbeats are read again, one of each worker that lives among them
                for stream, start in [("beats", datetime.now(timezone.utc) - timedelta(minutes=1)), ("log", self.next)]:
                    channel.basic_consume("auth.invalidations." + stream, self._message, arguments={"x-stream-offset": start})
                channel.start_consuming()
            except Exception as error: print("lost the feed, or skipped a message:", repr(error), file=sys.stderr)
            time.sleep(1)
    def _message(self, channel, method, properties, body):
        headers = properties.headers
        if method.routing_key != "heartbeat": self.next = headers["x-stream-offset"] + 1
        event = json.loads(body)
        if event["type"] == "auth.invalidation.v1": [self._deny(target["kind"], target) for target in event["data"]["targets"]]
        if event["type"] == "auth.invalidation.heartbeat.v1" and "publisher" in event["data"]: self.waiting.append(event)
        if "x-publisher" in headers: self.read[headers["x-publisher"]] = max(self.read.get(headers["x-publisher"], 0), headers["x-sequence"])
        while self.waiting and self._has_read(self.waiting[0]["data"]):
            self.heartbeat = max(self.heartbeat, min(seconds(self.waiting.pop(0)["time"]), time.time()))
        if method.delivery_tag % 100 == 0: channel.basic_ack(method.delivery_tag, multiple=True)
        if method.delivery_tag % 10_000 == 0: self.denied = {key: held for key, held in self.denied.items() if held[1] > time.time()}
    def _has_read(self, beat):  # A heartbeat vouches once all is read that it, or one before it, names.
        return self.read.get(beat["publisher"], 0) >= beat["sequence"] or seconds(beat["published_at"]) <= self.since.timestamp()
    def _deny(self, kind, target):
        cutoff, until = math.inf if kind == "token" else seconds(target["not_before"]), seconds(target["expires_at"])
        if kind == "token": keys = [("token", target["token_sha256"])] + [("jti", jti) for jti in [target.get("jti")] if jti]
        else: keys = [(kind, target[dict(NAMES)[kind]], iss) for iss in (target["iss"] if kind != "issuer" else None, "")]  # "": not known
        for key in keys: self.denied[key] = tuple(map(max, self.denied.get(key, (0, 0)), (cutoff, until)))
    def check(self, token, claims):
        claim = lambda name, kinds, missing=None: claims[name] if isinstance(claims.get(name), kinds) else missing
        keys = [(kind, claim(name, str), iss) for kind, name in NAMES for iss in (None, claim("iss", str, ""))]
        held = map(self.denied.get, [("token", hashlib.sha256(token.encode()).hexdigest()), ("jti", claim("jti", str)), *keys])
        iat, exp, now = claim("iat", (int, float), 0), claim("exp", (int, float), math.inf), time.time()
        if exp <= now or any(now < until and not iat > cutoff for cutoff, until in filter(None, held)): return "denied"
        return "allowed" if now - self.heartbeat < 3 else "stale"
def claims_of(token):
    try: return dict(json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")))
    except (IndexError, TypeError, ValueError): return {}
if __name__ == "__main__":
    denylist = Denylist(os.environ["AMQP_URL"], timedelta(days=float(os.environ.get("MAX_TOKEN_LIFETIME_DAYS", 30))))
    for token in map(str.strip, sys.stdin): print(denylist.check(token, claims_of(token)), flush=True)
