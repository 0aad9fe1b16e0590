// A denylist of revoked tokens, kept up to date from RabbitMQ. Node 18 or later, amqplib. See docs/verifiers.md.
import amqp from 'amqplib';
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

const NAMES = [['session', 'sid'], ['subject', 'sub'], ['client', 'azp'], ['client', 'client_id'], ['issuer', 'iss']];
const MEMBER = Object.fromEntries(NAMES);
const EXTRA = { subject: 'subject_claims', client: 'client_claims' };
const UNITS = [[1e11, 1], [1e14, 1e3], [1e17, 1e6], [Infinity, 1e9]]; // an exp from ten times that on
const ANY = 'any cutoff';
const now = () => Date.now() / 1000;
const seconds = (text) => Date.parse(text) / 1000;
const key = (...parts) => JSON.stringify(parts);

class Denylist {
  denied = new Map(); extra = new Set(); heartbeat = 0; clock = 0;
  read = new Map(); waiting = []; // the last number read of each publisher; heartbeats that name more than that
  constructor(url, lifetime, skipRefreshTokens) {
    Object.assign(this, { url, skipRefreshTokens, since: now() - lifetime }); // what is older matters no more
    this.next = { '!': 'timestamp', value: Math.floor(this.since - 600) }; // clocks may differ
    this.run();
  }
  async run() {
    for (;;) {
      const ended = await this.follow().catch((error) => error);
      console.error('lost the feed:', String(ended));
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  async follow() { // until the connection ends, which is its answer
    const connection = await amqp.connect(this.url);
    const ended = new Promise((resolve) => ['error', 'close'].forEach((event) => connection.on(event, resolve)));
    const failed = new Promise((resolve) => { this.fail = resolve; });
    try {
      const channel = await connection.createChannel();
      ['error', 'close'].forEach((event) => channel.on(event, this.fail));
      await channel.prefetch(300);
      this.waiting = []; // the last minute's heartbeats are read again, one of each worker that lives among them
      const minute = { '!': 'timestamp', value: Math.floor(now() - 60) };
      for (const [stream, start] of [['beats', minute], ['log', this.next]]) {
        await channel.consume(`auth.invalidations.${stream}`, (message) => {
          try { this.message(channel, message); } catch (error) { this.fail(error); }
        }, { arguments: { 'x-stream-offset': start } });
      }
      return await Promise.race([ended, failed]);
    } finally { connection.close().catch(() => {}); }
  }
  message(channel, message) {
    if (!message) throw new Error('the stream is gone');
    const { headers } = message.properties, tag = message.fields.deliveryTag;
    const event = JSON.parse(message.content), isHeartbeat = event.type === 'auth.invalidation.heartbeat.v1';
    if (message.fields.routingKey !== 'heartbeat') this.next = headers['x-stream-offset'] + 1;
    if (isHeartbeat) this.clock = Math.max(this.clock, seconds(event.time));
    if (event.type === 'auth.invalidation.v1') event.data.targets.forEach((target) => this.deny(target));
    if (isHeartbeat && event.data.publisher) this.waiting.push([now(), event]);
    const publisher = headers['x-publisher'];
    if (publisher) this.read.set(publisher, Math.max(this.read.get(publisher) ?? 0, headers['x-sequence']));
    while (this.waiting.length && this.hasRead(this.waiting[0][1].data)) {
      this.heartbeat = Math.max(this.heartbeat, Math.min(seconds(this.waiting.shift()[1].time), now()));
    }
    if (tag % 100 === 0) channel.ack(message, true);
    if (tag % 10_000 === 0) for (const [name, [, until]] of this.denied) if (until <= now()) this.denied.delete(name);
    if (this.waiting.length && now() - this.waiting[0][0] > 30) throw new Error('what a heartbeat names did not come');
  }
  hasRead(beat) { // A heartbeat vouches once all is read that it, or one before it, names.
    return (this.read.get(beat.publisher) ?? 0) >= beat.sequence || seconds(beat.published_at) <= this.since;
  }
  deny(target) {
    const { kind } = target, until = seconds(target.expires_at), keys = [];
    if (kind === 'token') {
      if (this.skipRefreshTokens && target.token_type_hint === 'refresh_token') return;
      for (const name of ['token_sha256', 'signed_sha256']) if (target[name]) keys.push(key(name, target[name]));
      if (target.jti) keys.push(key('jti', target.jti, target.iss === undefined ? '*' : target.iss));
    } else {
      const name = target[MEMBER[kind]], iss = kind === 'issuer' ? null : target.iss;
      keys.push(key(kind, name, iss), key(kind, name, ''), ANY); // '': not known
      for (const claim of target[EXTRA[kind]] ?? []) {
        this.extra.add(key(kind, claim));
        keys.push(key(kind, claim, name, iss || target.claims_iss || ''));
      }
    }
    const cutoff = kind === 'token' ? Infinity : seconds(target.not_before);
    for (const one of keys) {
      const [before, end] = this.denied.get(one) ?? [0, 0];
      this.denied.set(one, [Math.max(before, cutoff), Math.max(end, until)]);
    }
  }
  // `claims` as claimsOf(token) returns them, or as the service knows them.
  check(token, claims) {
    const isUnreadable = claims === undefined, at = now(), named = (name) => text((claims ?? {})[name]);
    const signed = isJws(token) ? token.slice(0, token.lastIndexOf('.')) : '', iss = named('iss');
    const keys = [key('token_sha256', sha256(token)), key('signed_sha256', sha256(signed))];
    for (const whose of [iss, '*']) keys.push(key('jti', named('jti'), whose));
    for (const [kind, name] of NAMES) for (const whose of [null, iss ?? '']) keys.push(key(kind, named(name), whose));
    if (iss) for (const one of this.extra) { const [kind, claim] = JSON.parse(one); keys.push(key(kind, claim, named(claim), iss)); }
    if (isUnreadable) keys.push(ANY);
    const exp = moment(claims?.exp, 10);
    let iat = moment(claims?.iat, 1);
    if (iat === null || iat > Math.max(at, this.clock) + 300) iat = 0; // an iat in the future says nothing
    const isHit = keys.map((one) => this.denied.get(one)).some((held) => held && at < held[1] && iat <= held[0]);
    if ((exp !== null && exp <= at) || isHit) return 'denied';
    return at - this.heartbeat < 3 ? 'allowed' : 'stale';
  }
}
const sha256 = (text) => createHash('sha256').update(text).digest('hex');
// An integer counts as its decimal text.
const text = (value) => (typeof value === 'string' || typeof value === 'bigint' || Number.isInteger(value) ? String(value) : null);
function moment(value, wider) {
  if (typeof value !== 'number' && typeof value !== 'bigint') return null;
  const number = Number(value);
  return Number.isFinite(number) ? number / UNITS.find(([limit]) => Math.abs(number) < limit * wider)[1] : null;
}
function decoded(part) { // undefined: what JSON.parse does not take. Integers that a double cannot hold stay exact.
  try {
    const json = new TextDecoder().decode(Buffer.from(part, 'base64url'));
    const marked = json.replace(/"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g, (word) => (word[0] === '"' ? word : `"\\u0001${word}"`));
    return JSON.parse(marked, (_, value) => (typeof value === 'string' && value[0] === '\u0001' ? BigInt(value.slice(1)) : value));
  } catch { return undefined; }
}
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
function isJws(token) { // Three parts and an algorithm. Many JWEs, PASETOs and opaque tokens share their first parts.
  const parts = token.split('.'), header = decoded(parts[0]);
  return parts.length === 3 && parts.every(Boolean) && isObject(header) && typeof header.alg === 'string' && header.alg !== 'none';
}
function claimsOf(token) { // undefined: a JWT whose claims cannot be read, which any cutoff may mean.
  const parts = token.split('.'), claims = parts.length === 3 ? decoded(parts[1]) : {};
  return isObject(claims) ? claims : isJws(token) ? undefined : {};
}

const { AMQP_URL, MAX_TOKEN_LIFETIME_DAYS = '30', SKIP_REFRESH_TOKENS } = process.env;
const denylist = new Denylist(AMQP_URL, Number(MAX_TOKEN_LIFETIME_DAYS) * 86400, SKIP_REFRESH_TOKENS === 'true');
for await (const line of createInterface({ input: process.stdin })) console.log(denylist.check(line.trim(), claimsOf(line.trim())));
process.exit(0);
