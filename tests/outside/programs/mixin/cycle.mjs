// A bot's whole day with Mixin's own SDK, as published: only its base address is another.
// node cycle.mjs READY, where READY is the sandbox's ready line; prints what was seen as JSON.
import { randomBytes } from 'node:crypto';
import {
  MixinApi, MixinCashier, blake3Hash, base64RawURLEncode, buildMixinOneSafePaymentUri,
  buildSafeTransaction, buildSafeTransactionRecipient, encodeSafeTransaction, getChallenge,
  getED25519KeyPair, getUnspentOutputsForRecipients, signSafeTransaction,
} from '@mixin.dev/mixin-node-sdk';
import { sendRaw, websocket } from '@mixin.dev/mixin-node-sdk/blaze';
import { v4 } from 'uuid';

const ready = JSON.parse(process.argv[2]);
const { bot, users } = ready;
const requestConfig = { baseURL: ready.api };
const api = MixinApi({ keystore: bot, requestConfig });
const alice = users[0].app_id;
const seen = {};

const USDT = '218bc6f4-7927-3f8e-8568-3a3725b74361'; // on Polygon
const ETHER_USDT = '4d8c508b-91c5-375b-92b0-ee702ed2dac5';
const ETHEREUM = '43d61dcd-e413-450d-80b8-101d5e903357';
const POLYGON = 'b7938396-3f94-4e0a-9179-d3440718156f';
const ADDRESS = '0x86fa049857e0209aa7d9e616f7eb3b3b78ecfdb0';

const admin = async (method, path, body) => {
  const answer = await fetch(ready.admin + path, {
    method, body: body && JSON.stringify(body), headers: { 'Content-Type': 'application/json' },
  });
  return answer.json();
};
const outputs = asset => api.utxo.safeOutputs({
  asset, members: [bot.app_id], threshold: 1, state: 'unspent', limit: 500,
});
const balance = asset => api.utxo.safeAssetBalance({ asset, members: [bot.app_id], threshold: 1 });
const code = async work => { try { await work(); return 0; } catch (e) { return e.code ?? String(e); } };

// The recipe of the SDK's own examples: outputs, change, one-time keys, encoding.
const build = async (asset, recipients, trace, memo = '', references = []) => {
  const { utxos, change } = getUnspentOutputsForRecipients(await outputs(asset), recipients);
  const all = [...recipients];
  if (!change.isZero() && !change.isNegative())
    all.push(buildSafeTransactionRecipient(
      utxos[0].receivers, utxos[0].receivers_threshold, change.toString()));
  const ghosts = await api.utxo.ghostKey(all, trace, bot.spend_private_key);
  const tx = buildSafeTransaction(utxos, all, ghosts, Buffer.from(memo), references);
  return { tx, raw: encodeSafeTransaction(tx), request_id: trace };
};
const send = async parts => {
  const verified = await api.utxo.verifyTransaction(
    parts.map(({ raw, request_id }) => ({ raw, request_id })));
  const signed = parts.map((part, i) => ({
    request_id: part.request_id,
    raw: signSafeTransaction(part.tx, verified[i].views, bot.spend_private_key),
  }));
  return { verified, signed, sent: await api.utxo.sendTransactions(signed) };
};
const pay = (to, amount) => buildSafeTransactionRecipient([to], 1, amount);

// Who we are
seen.me = (await api.user.profile()).user_id === bot.app_id;
seen.has_safe = (await api.safe.checkRegisteration()).has_safe;
seen.users = (await api.user.fetchList([alice, v4()])).map(u => u.user_id === alice);
seen.bad_key = await code(() => MixinApi({
  keystore: { ...bot, session_private_key: '00'.repeat(32) }, requestConfig,
}).user.profile());

// Deposit from another chain
const [entry] = await api.safe.depositEntries({
  members: [bot.app_id], threshold: 1, chain_id: POLYGON,
});
const coming = { asset: USDT, amount: '50', destination: entry.destination, tx_id: '0xaa' };
await admin('POST', '/deposit', { ...coming, confirmations: 1 });
const waiting = await api.safe.pendingDeposits({ asset: USDT, destination: entry.destination });
seen.pending = waiting.map(d => [d.transaction_hash, d.amount, d.confirmations]);
seen.before = await balance(USDT);
await admin('POST', '/deposit', coming);
await admin('POST', '/deposit', coming);
seen.deposited = await balance(USDT);
const arrived = (await api.safe.fetchSafeSnapshots({ asset: USDT })).map(s => s.deposit?.deposit_hash);
seen.deposit_hash = arrived;

// A user pays by the link that the SDK writes
const trace = v4();
const link = buildMixinOneSafePaymentUri({
  uuid: bot.app_id, asset: USDT, amount: '12.5', memo: 'order-1', trace,
});
await admin('POST', '/pay', { user: alice, link });
seen.paid_twice = 'error' in await admin('POST', '/pay', { user: alice, link });
const all = await outputs(USDT);
const paid = all.find(o => o.request_id === trace);
seen.link = [paid.amount, paid.senders[0] === alice, Buffer.from(paid.extra, 'hex').toString()];
seen.sequence = all.map(o => o.sequence).every((n, i, a) => i === 0 || n > a[i - 1]);

// Transfer
const first = await build(USDT, [pay(alice, '1.25')], v4(), 'thanks');
const { verified, signed, sent } = await send([first]);
seen.transfer = [verified[0].state, sent[0].state];
seen.same_hash = blake3Hash(Buffer.from(first.raw, 'hex')).toString('hex') === sent[0].transaction_hash;
seen.same_raw = sent[0].raw_transaction === signed[0].raw;
seen.spent = (await api.utxo.fetchTransaction(first.request_id)).state;
seen.after_transfer = await balance(USDT);
seen.unknown = await code(() => api.utxo.fetchTransaction(v4()));
// The same again changes nothing; another under the same request id is answered with the first
seen.again = (await api.utxo.sendTransactions(signed))[0].transaction_hash === sent[0].transaction_hash;
const other = await build(USDT, [pay(alice, '9')], v4());
const bound = await api.utxo.verifyTransaction([{ raw: other.raw, request_id: first.request_id }]);
seen.bound = bound[0].transaction_hash === sent[0].transaction_hash;
const spent_twice = await code(() => api.utxo.verifyTransaction([{ raw: first.raw, request_id: v4() }]));
seen.spent_twice = spent_twice;
// A signature by another key is refused
const forged = await api.utxo.verifyTransaction([{ raw: other.raw, request_id: other.request_id }]);
const wrong = signSafeTransaction(other.tx, forged[0].views, '11'.repeat(32));
seen.forged = await code(() => api.utxo.sendTransactions([
  { raw: wrong, request_id: other.request_id }]));
seen.after_forgery = await balance(USDT);

// Batch: many recipients, one transaction
const many = users.slice(0, 5).map((u, i) => pay(u.app_id, `0.${i + 1}`));
const batch = await build(USDT, many, v4(), 'rewards');
const batched = (await send([batch])).sent[0];
seen.batch = [batch.tx.outputs.length, batched.receivers.length, await balance(USDT)];
const wide = Array.from({ length: 255 }, () => pay(alice, '0.01'));
const widest = (await send([await build(USDT, wide, v4(), 'rewards')])).sent[0];
seen.widest = [widest.receivers.length, await balance(USDT)];

// Withdrawal with the fee in the same asset
const fees = await api.safe.fetchFee(USDT, ADDRESS);
const own = fees.find(f => f.asset_id === USDT);
const cheap = await build(USDT, [
  { amount: '2', destination: ADDRESS, tag: '' }, pay(MixinCashier, '0.00000001')], v4());
seen.fee_too_small = await code(() => api.utxo.verifyTransaction([cheap]));
const out = await build(USDT, [
  { amount: '2', destination: ADDRESS, tag: '' }, pay(MixinCashier, own.amount)], v4());
const left = (await send([out])).sent[0];
seen.withdrawn = [own.amount, left.receivers[0].destination, left.receivers[0].withdrawal_hash,
  await balance(USDT)];

// Withdrawal with the fee in the chain's asset
await admin('POST', '/pay', { user: alice, asset: ETHER_USDT, amount: '20' });
await admin('POST', '/pay', { user: alice, asset: ETHEREUM, amount: '1' });
const chainFee = (await api.safe.fetchFee(ETHER_USDT, ADDRESS)).find(f => f.asset_id === ETHEREUM);
const main = await build(ETHER_USDT, [{ amount: '7', destination: ADDRESS, tag: '' }], v4());
const fee = await build(ETHEREUM, [pay(MixinCashier, chainFee.amount)], v4(), '',
  [blake3Hash(Buffer.from(main.raw, 'hex')).toString('hex')]);
seen.fee_alone = await code(() => api.utxo.verifyTransaction([main]));
const both = (await send([main, fee])).sent;
seen.withdrawn_with_chain_fee = [both.length, await balance(ETHER_USDT), await balance(ETHEREUM)];
const { withdrawals } = await admin('GET', '/withdrawals?state=pending');
for (const [i, w] of withdrawals.entries())
  await admin('POST', `/withdrawals/${w.id}/complete`, { tx_id: `0xb${i}` });
seen.on_chain = withdrawals.map(w => [w.amount, w.destination]);
seen.withdrawal_hash = (await api.utxo.fetchTransaction(out.request_id)).receivers[0].withdrawal_hash;
const told = await api.safe.fetchSafeSnapshots({ asset: USDT, limit: 500 });
seen.told = told.filter(s => s.withdrawal).map(s => [s.amount, s.withdrawal.withdrawal_hash]);

// Login of a user: by PKCE with Mixin's challenge, and with signed calls
const { verifier, challenge } = getChallenge();
const scopes = ['PROFILE:READ', 'ASSETS:READ'];
const consent = () => admin('POST', '/oauth/codes', {
  user: alice, scopes, code_challenge: challenge });
const open = MixinApi({ requestConfig });
const grant = async more => open.oauth.getToken({
  client_id: bot.app_id, code: (await consent()).code, ...more });
seen.wrong_verifier = await code(() => grant({
  code_verifier: base64RawURLEncode(randomBytes(32)) }));
const token = await grant({ code_verifier: verifier });
seen.scope = token.scope;
const profile = await fetch(`${ready.api}/me`, {
  headers: { Authorization: `Bearer ${token.access_token}` } });
seen.bearer = (await profile.json()).data.user_id === alice;
seen.secret = (await grant({ client_secret: bot.client_secret })).scope;
const pair = getED25519KeyPair();
const signedGrant = await grant({
  code_verifier: verifier, ed25519: base64RawURLEncode(pair.publicKey) });
const forAlice = MixinApi({ requestConfig, keystore: {
  app_id: bot.app_id, scope: signedGrant.scope, authorization_id: signedGrant.authorization_id,
  session_private_key: Buffer.from(pair.seed ?? pair.privateKey).toString('hex').slice(0, 64),
} });
seen.granted = (await forAlice.user.profile()).user_id === alice;
seen.beyond_scope = await code(() => forAlice.safe.fetchSafeSnapshots({}));
const used = (await consent()).code;
const once = { client_id: bot.app_id, code: used, code_verifier: verifier };
await open.oauth.getToken(once);
seen.code_twice = await code(() => open.oauth.getToken(once));

// Messages
await api.conversation.createContact(alice);
const said = await api.message.sendText(alice, '做市 ✓');
await api.message.sendAppButton(alice, [
  { label: 'Pay', color: '#46B8DA', action: 'https://mixin.one' }]);
const got = (await admin('GET', `/messages/${alice}`)).messages;
seen.said = got.filter(m => m.message_id === said.message_id).map(m => m.text);
seen.buttons = got.filter(m => m.category === 'APP_BUTTON_GROUP').length;

// Blaze: what waits, what comes, what is acknowledged
const heard = [];
const wait = async (what, limit = 200) => {
  for (let i = 0; i < limit; i += 1) {
    if (what()) return true;
    await new Promise(done => { setTimeout(done, 50); });
  }
  return false;
};
await admin('POST', '/messages', { user: alice, text: 'before' });
const socket = websocket(bot, ready.blaze, {
  onMessage: m => { if (m.message_id) heard.push(m); } }, { parse: true, syncAck: true });
await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });
await sendRaw(socket, { id: v4(), action: 'LIST_PENDING_MESSAGES' });
seen.heard_before = await wait(() => heard.some(m => m.data === 'before'));
await admin('POST', '/messages', { user: alice, text: 'live' });
seen.heard_live = await wait(() => heard.some(m => m.data === 'live'));
const notice = v4();
await admin('POST', '/pay', { user: alice, asset: USDT, amount: '3', trace: notice });
seen.heard_payment = await wait(() => heard.some(
  m => m.category === 'SYSTEM_SAFE_SNAPSHOT' && m.data.request_id === notice && m.data.amount === '3'));
const waits = async () => (await admin('GET', '/messages/0')).messages.length;
let left_over = -1;
for (let i = 0; i < 100 && left_over !== 0; i += 1) {
  left_over = await waits();
  if (left_over) await new Promise(done => { setTimeout(done, 50); });
}
seen.unacknowledged = left_over;
socket.terminate();

seen.invariants = (await admin('GET', '/invariants')).violations;
console.log(JSON.stringify(seen));
process.exit(0);
