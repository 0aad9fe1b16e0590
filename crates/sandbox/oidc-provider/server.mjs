// A real authorization server on loopback: oidc-provider at http://127.0.0.1:PORT/oidc, everything in memory.
//
// OIDC_PORT     port to listen on
// OIDC_CLIENTS  JSON array of { client_id, client_secret, token_endpoint_auth_method?, backchannel_logout_uri? }
// OIDC_TLS      optional: JSON of { port, key, certificate, authority }, the files of a second listener that asks for a certificate
//
// POST /oidc/end?client_id=&sub= sends the client a logout token of the user (Back-Channel Logout 1.0): 204 where the client took it, else 502.
// Grant `urn:test:direct` issues an access and a refresh token for any `sub`, without a browser; `format=jwt` makes the access token a JWT,
// `owner` names the client that they belong to, where that is another than the one that asks.
// Standard output: {"issuer":...} when ready, then a line per event. Tokens appear as their SHA-256 only.
import { createHash, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';

// What Debian 12's Node 18 lacks of what oidc-provider needs; hence the late import.
globalThis.crypto ??= webcrypto;
globalThis.CryptoKey ??= webcrypto.CryptoKey;
URL.parse ??= (url, base) => {
  try {
    return new URL(url, base);
  } catch {
    return null;
  }
};
const { Provider } = await import('oidc-provider');

const HOUR = 3600;
const DIRECT = 'urn:test:direct';
const port = Number(process.env.OIDC_PORT);
const issuer = `http://127.0.0.1:${port}/oidc`;
const tls = process.env.OIDC_TLS ? JSON.parse(process.env.OIDC_TLS) : null;
const aliases = tls
  ? { mtls_endpoint_aliases: { revocation_endpoint: `https://127.0.0.1:${tls.port}/oidc/token/revocation` } }
  : {};
const peer = (ctx) => ctx.socket.getPeerX509Certificate?.();
const mTLS = {
  enabled: true,
  selfSignedTlsClientAuth: true,
  tlsClientAuth: true,
  getCertificate: (ctx) => peer(ctx)?.toString(),
  certificateAuthorized: (ctx) => ctx.socket.authorized === true,
  certificateSubjectMatches: (ctx, property, expected) =>
    property === 'tls_client_auth_subject_dn' && peer(ctx).subject === expected,
};

/** Keeps everything: the built-in store forgets the oldest of 1000 records, and a forgotten token looks revoked. */
class MapAdapter {
  static #grants = new Map();
  #records = new Map();

  async upsert(id, payload) {
    this.#records.set(id, payload);
    if (!payload.grantId) return;
    const members = MapAdapter.#grants.get(payload.grantId) ?? [];
    members.push([this.#records, id]);
    MapAdapter.#grants.set(payload.grantId, members);
  }

  async find(id) {
    return this.#records.get(id);
  }

  async findByUid() {}

  async findByUserCode() {}

  async consume(id) {
    this.#records.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.#records.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const [records, id] of MapAdapter.#grants.get(grantId) ?? []) records.delete(id);
    MapAdapter.#grants.delete(grantId);
  }
}

const clients = JSON.parse(process.env.OIDC_CLIENTS).map((client) => ({
  token_endpoint_auth_method: 'client_secret_basic',
  ...client,
  grant_types: [DIRECT, 'refresh_token'],
  redirect_uris: [],
  response_types: [],
}));

const provider = new Provider(issuer, {
  adapter: MapAdapter,
  clients,
  clientAuthMethods: [
    'client_secret_basic', 'client_secret_jwt', 'client_secret_post', 'private_key_jwt', 'none',
    'tls_client_auth', 'self_signed_tls_client_auth',
  ],
  cookies: { keys: ['nothing here uses cookies'] },
  discovery: aliases,
  features: {
    backchannelLogout: { enabled: true }, devInteractions: { enabled: false }, introspection: { enabled: true }, mTLS,
    revocation: { enabled: true },
  },
  // Its own dispatcher refuses loopback, where the clients of tests are.
  fetch: (url, { dispatcher: _, ...options }) => fetch(url, options),
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  rotateRefreshToken: false,
  ttl: { AccessToken: HOUR, Grant: 24 * HOUR, RefreshToken: 24 * HOUR },
});

const asJwt = new provider.ResourceServer('urn:test:orders', {
  accessTokenFormat: 'jwt',
  accessTokenTTL: HOUR,
  audience: 'urn:test:orders',
  jwt: { sign: { alg: 'RS256' } },
  scope: '',
});

async function direct(ctx) {
  const { params } = ctx.oidc;
  const client = params.owner ? await provider.Client.find(params.owner) : ctx.oidc.client;
  const grant = new provider.Grant({ accountId: params.sub, clientId: client.clientId });
  const shared = { accountId: params.sub, client, grantId: await grant.save(), gty: DIRECT, scope: 'openid offline_access' };
  const access = new provider.AccessToken({ ...shared, expiresWithSession: false });
  if (params.format === 'jwt') access.resourceServer = asJwt;
  const refresh = new provider.RefreshToken({ ...shared, expiresWithSession: false, rotations: 0 });
  const [accessToken, refreshToken] = [await access.save(), await refresh.save()];
  ctx.body = { access_token: accessToken, expires_in: access.expiration, refresh_token: refreshToken, token_type: access.tokenType };
}

provider.registerGrantType(DIRECT, direct, ['sub', 'format', 'owner']);

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const sha256 = (token) => createHash('sha256').update(token).digest('hex');

// An opaque token's id is the token itself.
for (const event of ['access_token.saved', 'access_token.destroyed', 'refresh_token.saved', 'refresh_token.destroyed']) {
  provider.on(event, (token) => say({ event, sha256: sha256(token.jti), sub: token.accountId }));
}
provider.on('grant.revoked', (_ctx, grant) => say({ event: 'grant.revoked', grant }));
for (const event of ['grant.error', 'introspection.error', 'revocation.error', 'server_error']) {
  provider.on(event, (_ctx, error) => say({ event, error: error.error ?? error.name, detail: error.error_description ?? error.message }));
}

/** As at the end of a session: the library signs the token and sends it. */
async function end(parameters, res) {
  try {
    const client = await provider.Client.find(parameters.get('client_id'));
    await client.backchannelLogout(parameters.get('sub'));
    res.writeHead(204).end();
  } catch (error) {
    say({ event: 'backchannel.error', detail: error.message });
    res.writeHead(502).end();
  }
}

const answer = provider.callback();
const mounted = (req, res) => {
  const { pathname, searchParams } = new URL(req.url, issuer);
  if (req.method === 'POST' && pathname === '/oidc/end') return end(searchParams, res);
  req.originalUrl = req.url;
  req.url = req.url.replace(/^\/oidc(?=\/|$)/, '') || '/';
  answer(req, res);
};
const server = createServer(mounted);
const listen = () => server.listen(port, '127.0.0.1', () => say({ issuer }));
if (tls) {
  const [key, cert, ca] = [tls.key, tls.certificate, tls.authority].map((file) => readFileSync(file));
  // A certificate of nobody's signing is let in, for clients that are known by theirs.
  const options = { key, cert, ca, requestCert: true, rejectUnauthorized: false };
  createTlsServer(options, mounted).listen(tls.port, '127.0.0.1', listen);
} else {
  listen();
}
