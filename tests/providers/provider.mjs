// A certified OpenID provider for the tests: node provider.mjs '{"port": ..., "callback": ..., "people": {...}}'.
//
// PKCE is required. Whoever signs in is chosen on its page by a button a person; `amr`, `acr` and `since` (how many
// seconds ago they showed who they are) are part of what is known of them, so that a test can say what the token says.
import { Provider } from 'oidc-provider';

const { port, callback, people } = JSON.parse(process.argv[2]);
const issuer = `http://localhost:${port}`;
const claims = [...new Set(Object.values(people).flatMap((person) => Object.keys(person.claims)))];

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'assay',
    client_secret: 'a secret of the tests',
    redirect_uris: [callback],
    post_logout_redirect_uris: [callback],
  }],
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  acrValues: [...new Set(Object.values(people).map((person) => person.acr).filter(Boolean))],
  scopes: ['openid', 'email', 'profile'],
  claims: { openid: ['sub', ...claims], email: [], profile: [], acr: null, amr: null, auth_time: null },
  features: {
    devInteractions: { enabled: false },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => { ctx.body = page(form + '<button form="op.logoutForm" name="logout" value="yes">Sign out of the provider</button>'); },
    },
  },
  cookies: { keys: ['only for tests'] },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, ...people[sub]?.claims }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email profile');
    grant.addOIDCClaims(claims);
    await grant.save();
    return grant;
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  ttl: { AccessToken: 600, AuthorizationCode: 60, IdToken: 600, Interaction: 600, Session: 3600, Grant: 3600 },
});

const page = (body) => `<!DOCTYPE html><html lang="en"><title>Test provider</title><body>${body}</body></html>`;

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  if (ctx.method === 'GET') {
    const buttons = Object.keys(people).map((sub) => `<button name="sub" value="${sub}">${sub}</button>`);
    ctx.body = page(`<form method="post">${buttons.join('')}<button name="sub" value="">Deny</button></form>`);
    return;
  }
  let body = '';
  for await (const chunk of ctx.req) body += chunk;
  const sub = new URLSearchParams(body).get('sub');
  const { amr, acr, since = 0 } = people[sub] ?? {};
  const login = { accountId: sub, amr, acr, ts: Math.floor(Date.now() / 1000) - since };
  const result = sub ? { login } : { error: 'access_denied', error_description: 'not today' };
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  ctx.respond = false;
});

provider.listen(port, 'localhost', () => console.log('ready'));
