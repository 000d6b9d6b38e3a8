// Less usual calls of Mixin's own SDK, as published: only its base address is another.
// node shapes.mjs READY, where READY is the sandbox's ready line; prints what was seen as JSON.
import {
  MixinApi, base64RawURLEncode, blake3Hash, buildSafeTransaction, buildSafeTransactionRecipient,
  encodeSafeTransaction, getChallenge, getED25519KeyPair, getMainnetAddressFromSeed,
  getUnspentOutputsForRecipients, signSafeTransaction,
  uniqueConversationID,
} from '@mixin.dev/mixin-node-sdk';
import { v4 } from 'uuid';

const ready = JSON.parse(process.argv[2]);
const { bot, users } = ready;
const requestConfig = { baseURL: ready.api };
const of = keystore => MixinApi({ keystore, requestConfig });
const api = of(bot);
const [alice, ben] = users.map(u => u.app_id);
const seen = {};

const USDT = '218bc6f4-7927-3f8e-8568-3a3725b74361'; // on Polygon
const BTC = 'c6d0c728-2624-429b-8e0d-d9d19b6592fa';
const POLYGON = 'b7938396-3f94-4e0a-9179-d3440718156f';
const ADDRESS = '0x86fa049857e0209aa7d9e616f7eb3b3b78ecfdb0';

const admin = async (method, path, body) => {
  const answer = await fetch(ready.admin + path, {
    method, body: body && JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
  });
  return answer.json();
};
const code = async work => { try { await work(); return 0; } catch (e) { return e.code ?? String(e); } };
const all = params => api.utxo.safeOutputs({ limit: 500, ...params });
const mine = { members: [bot.app_id], threshold: 1 };

const build = async (recipients, memo = '', inputs = undefined) => {
  const unspent = inputs ?? await all({ ...mine, asset: USDT, state: 'unspent' });
  const { utxos, change } = getUnspentOutputsForRecipients(unspent, recipients);
  const outs = [...recipients];
  if (!change.isZero() && !change.isNegative())
    outs.push(buildSafeTransactionRecipient(
      utxos[0].receivers, utxos[0].receivers_threshold, change.toString()));
  const request_id = v4();
  const ghosts = await api.utxo.ghostKey(outs, request_id, bot.spend_private_key);
  const tx = buildSafeTransaction(utxos, outs, ghosts, Buffer.from(memo));
  return { tx, raw: encodeSafeTransaction(tx), request_id, utxos };
};
const send = async part => {
  const [{ views }] = await api.utxo.verifyTransaction([{ raw: part.raw, request_id: part.request_id }]);
  const raw = signSafeTransaction(part.tx, views, bot.spend_private_key);
  return (await api.utxo.sendTransactions([{ raw, request_id: part.request_id }]))[0];
};
const pay = (members, threshold, amount) => buildSafeTransactionRecipient(members, threshold, amount);

// Addresses: one's own by either call, a group's, always the same
const [own] = await api.safe.depositEntries({ ...mine, chain_id: POLYGON });
const [made] = await api.safe.createDeposit(POLYGON);
const pair = [bot.app_id, alice];
const [group] = await api.safe.depositEntries({ members: pair, threshold: 2, chain_id: POLYGON });
const [turned] = await of(users[0]).safe.depositEntries({
  members: [...pair].reverse(), threshold: 2, chain_id: POLYGON });
seen.entry = [own.type, own.destination === made.destination, own.is_primary, own.members.length];
seen.group = [group.destination === turned.destination, group.destination !== own.destination, group.threshold];
seen.strangers = await code(() => api.safe.depositEntries({
  members: [alice, ben], threshold: 1, chain_id: POLYGON }));
seen.no_chain = await code(() => api.safe.createDeposit(v4()));

// Three deposits are three outputs, which one payment spends
for (const [i, amount] of ['1', '2', '3.5'].entries())
  await admin('POST', '/deposit', { asset: USDT, amount, destination: own.destination, tx_id: `0x${i}` });
const three = await all({ ...mine, asset: USDT });
seen.three = three.map(o => [o.amount, o.state, o.deposit.deposit_hash]);
const wide = await build([pay([alice], 1, '6')], 'from three');
const sent = await send(wide);
seen.inputs = [wide.tx.inputs.length, sent.state, sent.transaction_hash ===
  blake3Hash(Buffer.from(wide.raw, 'hex')).toString('hex')];
seen.by_hash = (await api.utxo.fetchTransaction(sent.transaction_hash)).request_id === wide.request_id;
const states = async state => (await all({ ...mine, asset: USDT, state })).map(o => o.amount);
seen.states = [await states('unspent'), await states('signed'), await states('spent')];
seen.bad_state = await code(() => states('lost'));
const last = three[2].sequence;
seen.from = (await all({ ...mine, offset: last })).map(o => o.sequence >= last);
seen.pages = (await all({ ...mine, limit: 2 })).length;
seen.mine = (await all({})).length === (await all(mine)).length;
seen.fetched = (await api.utxo.fetchSafeOutputs({
  user_id: bot.app_id, ids: [three[1].output_id, v4()] })).map(o => [o.amount, o.state]);
seen.others = await code(() => api.utxo.fetchSafeOutputs({ user_id: alice, ids: [three[1].output_id] }));
seen.spent_again = await code(async () => send(await build([pay([alice], 1, '1')], '', three)));

// To a group, and to an address of the network's own
const both = await send(await build([pay(pair, 2, '0.25')]));
const shared = { members: pair, threshold: 2 };
seen.shared = (await all(shared)).map(o => [o.amount, o.receivers_threshold, o.receivers.length]);
seen.shared_by_alice = (await of(users[0]).utxo.safeOutputs(shared)).map(o => o.transaction_hash === both.transaction_hash);
seen.shared_by_ben = (await of(users[1]).utxo.safeOutputs(shared)).length;
seen.receivers = both.receivers.map(r => [r.members.length, r.threshold]);
const xin = getMainnetAddressFromSeed(Buffer.alloc(64, 7));
const owned = await send(await build([pay([xin], 1, '0.1')]));
seen.to_xin = [owned.state, owned.receivers[0].members, owned.receivers[0].threshold];
seen.memo_max = (await send(await build([pay([alice], 1, '0.0001')], 'm'.repeat(256)))).extra.length;
seen.memo_over = await code(async () => send(await build([pay([alice], 1, '0.0001')], 'm'.repeat(257))));

// Snapshots
const told = await api.safe.fetchSafeSnapshots({ limit: 500, asset: USDT });
seen.told = told.map(s => [s.amount, s.opponent_id === alice]);
seen.one = (await api.safe.fetchSafeSnapshot(told[0].snapshot_id)).amount === told[0].amount;
seen.no_snapshot = await code(() => api.safe.fetchSafeSnapshot(v4()));
seen.of_alice = (await api.safe.fetchSafeSnapshots({ opponent: alice })).map(s => s.amount);
seen.of_btc = (await api.safe.fetchSafeSnapshots({ asset: BTC })).length;
const times = told.map(s => s.created_at).sort();
seen.since = (await api.safe.fetchSafeSnapshots({ offset: times[1], limit: 2 })).map(s => s.created_at >= times[1]);
seen.of_app = [(await api.safe.fetchSafeSnapshots({ app: bot.app_id })).length === told.length,
  (await api.safe.fetchSafeSnapshots({ app: v4() })).length];

// Assets, fees, chains, addresses
const assets = await api.safe.assets();
seen.assets = [assets.length >= 11, (await api.safe.fetchAsset(USDT)).symbol,
  (await api.safe.fetchAssets([BTC, v4()])).map(a => a.symbol), await code(() => api.safe.fetchAsset(v4()))];
seen.fees = (await api.safe.fetchFee(USDT, ADDRESS)).map(f => [f.type, f.asset_id, f.amount]);
seen.bad_fee = await code(() => api.safe.fetchFee(USDT, 'nowhere'));
seen.network_asset = (await api.network.fetchAsset(BTC)).symbol;
const chains = await api.network.chains();
seen.chains = [chains.map(c => c.symbol).sort(), (await api.network.fetchChain(POLYGON)).name,
  await code(() => api.network.fetchChain(v4()))];
seen.check = (await api.external.checkAddress({ asset: USDT, destination: ADDRESS })).destination;
seen.bad_check = await code(() => api.external.checkAddress({ asset: USDT, destination: '0x1' }));

// People
seen.user = (await api.user.fetch(alice)).identity_number === users[0].identity_number;
seen.searched = (await api.user.search(users[0].identity_number)).user_id === alice;
seen.nobody = [await code(() => api.user.fetch(v4())), await code(() => api.user.search('1'))];

// An app that signs what a user granted it
const { verifier, challenge } = getChallenge();
const { code: consent } = await admin('POST', '/oauth/codes', {
  user: alice, scopes: ['PROFILE:READ', 'ASSETS:READ', 'SNAPSHOTS:READ'], code_challenge: challenge });
const keys = getED25519KeyPair();
const grant = await MixinApi({ requestConfig }).oauth.getToken({
  client_id: bot.app_id, code: consent, code_verifier: verifier,
  ed25519: base64RawURLEncode(keys.publicKey) });
const granted = of({ app_id: bot.app_id, scope: grant.scope, authorization_id: grant.authorization_id,
  session_private_key: Buffer.from(keys.seed ?? keys.privateKey).toString('hex').slice(0, 64) });
seen.granted = [(await granted.user.profile()).user_id === alice,
  (await granted.utxo.safeOutputs({ asset: USDT })).every(o => o.receivers.includes(alice)),
  (await granted.safe.fetchSafeSnapshots({ opponent: bot.app_id })).length,
  await code(() => granted.utxo.ghostKey([pay([ben], 1, '1')], v4(), bot.spend_private_key)),
  await code(() => granted.message.sendText(ben, 'not mine to say'))];
await admin('POST', '/oauth/revoke', { user: alice });
seen.revoked = await code(() => granted.user.profile());

// Messages of other kinds, many at once, called back
await api.conversation.createContact(alice);
const said = await api.message.sendPost(alice, '# Report');
await api.message.sendAppCard(alice, { app_id: bot.app_id, icon_url: 'https://mixin.one/i.png',
  title: 'Pool', description: 'Day 1', action: 'https://mixin.one' });
await api.message.sendRecall(alice, { message_id: said.message_id });
const kinds = (await admin('GET', `/messages/${alice}`)).messages.map(m => m.category);
seen.kinds = [...new Set(kinds)].filter(k => k !== 'SYSTEM_SAFE_SNAPSHOT').sort();
seen.conversation = (await api.conversation.fetch(uniqueConversationID(bot.app_id, alice))).category;

seen.invariants = (await admin('GET', '/invariants')).violations;
console.log(JSON.stringify(seen, null, 1));
process.exit(0);
