"""A denylist of revoked tokens, kept up to date from RabbitMQ. Python 3.11 or later, pika 1.2 or later. See docs/verifiers.md."""
import base64, hashlib, json, math, os, pika, sys, threading, time
from datetime import datetime, timedelta, timezone
NAMES = [("session", "sid"), ("subject", "sub"), ("client", "azp"), ("client", "client_id"), ("issuer", "iss")]
UNITS = [(1e11, 1), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9)]  # below 1e11 seconds, below 1e14 milliseconds, …; an exp from ten times that on
EXTRA = [("subject", "subject_claims"), ("client", "client_claims")]
ANY = ("any", "cutoff")
def seconds(text): return datetime.fromisoformat(text).timestamp()
class Denylist:
    def __init__(self, amqp_url, max_token_lifetime, skip_refresh_tokens=False):
        self.skip_refresh_tokens = skip_refresh_tokens  # what is hinted so: the hint is the publisher's word
        self.url, self.denied, self.extra, self.heartbeat, self.clock = amqp_url, {}, set(), 0, 0
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
        if event["type"] == "auth.invalidation.heartbeat.v1": self.clock = max(self.clock, seconds(event["time"]))
        if event["type"] == "auth.invalidation.v1": [self._deny(target["kind"], target) for target in event["data"]["targets"]]
        if event["type"] == "auth.invalidation.heartbeat.v1" and "publisher" in event["data"]: self.waiting.append((time.time(), event))
        if "x-publisher" in headers: self.read[headers["x-publisher"]] = max(self.read.get(headers["x-publisher"], 0), headers["x-sequence"])
        while self.waiting and self._has_read(self.waiting[0][1]["data"]):
            self.heartbeat = max(self.heartbeat, min(seconds(self.waiting.pop(0)[1]["time"]), time.time()))
        if method.delivery_tag % 100 == 0: channel.basic_ack(method.delivery_tag, multiple=True)
        if method.delivery_tag % 10_000 == 0: self.denied = {key: held for key, held in self.denied.items() if held[1] > time.time()}
        if self.waiting and time.time() - self.waiting[0][0] > 30: raise TimeoutError("what a heartbeat names did not come; subscribing again")
    def _has_read(self, beat):  # A heartbeat vouches once all is read that it, or one before it, names.
        return self.read.get(beat["publisher"], 0) >= beat["sequence"] or seconds(beat["published_at"]) <= self.since.timestamp()
    def _deny(self, kind, target):
        cutoff, until = math.inf if kind == "token" else seconds(target["not_before"]), seconds(target["expires_at"])
        if kind == "token":
            if self.skip_refresh_tokens and target.get("token_type_hint") == "refresh_token": return
            keys = [(name, target[name]) for name in ("token_sha256", "signed_sha256") if target.get(name)]
            if target.get("jti"): keys.append(("jti", target["jti"], target.get("iss", "*")))  # "*": an older worker does not say whose
        else:
            name, iss = target[dict(NAMES)[kind]], target["iss"] if kind != "issuer" else None
            keys = [(kind, name, iss), (kind, name, ""), ANY]  # "": not known
            for claim in target.get(dict(EXTRA).get(kind), []):
                self.extra |= {(kind, claim)}
                keys.append((kind, claim, name, iss or target.get("claims_iss") or ""))
        for key in keys: self.denied[key] = tuple(map(max, self.denied.get(key, (0, 0)), (cutoff, until)))
    def check(self, token, claims):
        """`claims` as claims_of(token) returns them, or as the service knows them."""
        unreadable, claims, now = claims is None, claims or {}, time.time()
        signed, iss = token.rpartition(".")[0] if is_jws(token) else "", text(claims, "iss")
        keys = [("token_sha256", sha256(token)), ("signed_sha256", sha256(signed)), *[("jti", text(claims, "jti"), whose) for whose in (iss, "*")]]
        keys += [(kind, text(claims, name), whose) for kind, name in NAMES for whose in (None, iss or "")]
        keys += [(kind, claim, text(claims, claim), iss) for kind, claim in list(self.extra) if iss] + [ANY] * unreadable
        iat, exp = moment(claims, "iat"), moment(claims, "exp")
        if iat is None or iat > max(now, self.clock) + 300: iat = 0  # an iat in the future says nothing
        held = filter(None, map(self.denied.get, keys))
        if (exp is not None and exp <= now) or any(now < until and iat <= cutoff for cutoff, until in held): return "denied"
        return "allowed" if now - self.heartbeat < 3 else "stale"
def sha256(text): return hashlib.sha256(text.encode()).hexdigest()
def text(claims, name):  # An integer counts as its decimal text.
    value = claims.get(name)
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
def moment(claims, name):
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < math.inf: return None
    return next(max(-1e300, min(value, 1e300)) / unit for limit, unit in UNITS if abs(value) < limit * (1 if name == "iat" else 10))
def decoded(part):  # In any encoding and with whatever else Python's parser takes; None where it takes it for nothing.
    try:
        data = base64.urlsafe_b64decode(part.rstrip("=") + "==")
        return json.loads(data.decode(json.detect_encoding(data), "replace"), strict=False)
    except (ValueError, RecursionError): return None
def is_jws(token):  # Three parts and an algorithm. Many JWEs, PASETOs and opaque tokens share their first parts, so these would fall together.
    parts, header = token.split("."), decoded(token.partition(".")[0])
    return len(parts) == 3 and all(parts) and isinstance(header, dict) and isinstance(header.get("alg"), str) and header["alg"] != "none"
def claims_of(token):  # None: a JWT whose claims cannot be read, which any cutoff may mean.
    claims = decoded(token.split(".")[1]) if token.count(".") == 2 else {}
    return claims if isinstance(claims, dict) else None if is_jws(token) else {}
if __name__ == "__main__":
    denylist = Denylist(os.environ["AMQP_URL"], timedelta(days=float(os.environ.get("MAX_TOKEN_LIFETIME_DAYS", 30))), os.environ.get("SKIP_REFRESH_TOKENS") == "true")
    for token in map(str.strip, sys.stdin): print(denylist.check(token, claims_of(token)), flush=True)
