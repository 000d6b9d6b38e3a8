// New cases by Mixin's own SDK, in the form of tests/vectors/mixin.json: node cases.mjs SEED COUNT.
import { createHash } from 'node:crypto';
import {
  attachInvoiceEntry, blake3Hash, buildMixAddress, buildMixinOneSafePaymentUri,
  buildSafeTransaction, buildSafeTransactionRecipient, encodeSafeTransaction, getInvoiceBuffer,
  getInvoiceString, getMainnetAddressFromSeed, getMixAddressBuffer, getPublicFromMainnetAddress,
  getUnspentOutputsForRecipients, hashMembers, newHash, newMixinInvoice, parseMixAddress,
  publicFromPrivate, signSafeTransaction, uniqueConversationID,
} from '@mixin.dev/mixin-node-sdk';

const [seed, count] = [process.argv[2], Number(process.argv[3])];
let drawn = 0;
const bytes = n => {
  const blocks = [];
  for (let have = 0; have < n; have += 64)
    blocks.push(createHash('sha512').update(`${seed}/${drawn++}`).digest());
  return Buffer.concat(blocks).subarray(0, n);
};
const below = n => bytes(6).readUIntBE(0, 6) % n;
const hex = n => bytes(n).toString('hex');
const uuid = () => {
  const b = Buffer.from(bytes(16));
  b[6] = b[6] & 0x0f | 0x40;
  b[8] = b[8] & 0x3f | 0x80;
  return b.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
};
const some = (most, make) => Array.from({ length: 1 + below(most) }, make);
const amount = () => {
  const whole = below([2, 1000, 1e9][below(3)]);
  const part = String(below(1e8)).padStart(8, '0').slice(0, 1 + below(8)).replace(/0+$/, '');
  const text = part ? `${whole}.${part}` : `${whole}`;
  return text === '0' ? '0.00000001' : text;
};
// Any number below 2^252 is a scalar.
const scalar = () => { const b = Buffer.from(bytes(32)); b[31] &= 0x0f; return b; };
const point = () => publicFromPrivate(scalar()).toString('hex');

const vectors = [];
const add = (category, fn, input, output) => vectors.push({
  category, fn, id: `node/${category}/${seed}-${vectors.length}`, input, output,
  sdk: '@mixin.dev/mixin-node-sdk@7.5.5' });

const transaction = () => {
  const asset = hex(32), spend = hex(32), extra = bytes(below(257));
  const outs = some(6, () => {
    const owners = some(3, uuid), value = amount();
    return { owners, value, recipient: buildSafeTransactionRecipient(
      owners, 1 + below(owners.length), value) };
  });
  const leaves = below(3) === 0;
  const recipients = outs.map(o => o.recipient);
  const address = `0x${hex(20)}`;
  if (leaves) recipients.unshift({ amount: amount(), destination: address, tag: below(2) ? 'tag' : '' });
  const ghosts = recipients.map(r => 'destination' in r ? undefined
    : { mask: point(), keys: r.mixAddress.uuidMembers.map(point) });
  const utxos = some(5, () => ({ transaction_hash: hex(32), output_index: below(256), asset,
    amount: '0' }));
  // The builder itself does not add; what goes in is what comes out.
  const references = Array.from({ length: below(3) }, () => hex(32));
  const tx = buildSafeTransaction(utxos, recipients, ghosts, extra, references);
  const raw = encodeSafeTransaction(tx);
  const views = utxos.map(() => scalar().toString('hex'));
  add('tx', 'buildSafeTransaction+encodeSafeTransaction+signSafeTransaction', {
    asset, extra_hex: extra.toString('hex'), references, views, spend_private_key: spend,
    inputs: utxos.map(u => ({ hash: u.transaction_hash, index: u.output_index })),
    outputs: recipients.map((r, i) => 'destination' in r
      ? { amount: r.amount, keys: [], mask: null, script: '', type: 161,
        withdrawal: { address: r.destination, tag: r.tag } }
      : { amount: r.amount, keys: ghosts[i].keys, mask: ghosts[i].mask, type: 0, withdrawal: null,
        script: `fffe0${r.mixAddress.threshold}` }),
  }, {
    hash: blake3Hash(Buffer.from(raw, 'hex')).toString('hex'), raw,
    signed_raw: signSafeTransaction(tx, views, spend),
  });
};
const names = () => {
  const members = some(8, uuid);
  add('hash_members', 'hashMembers', { members }, { hash: hashMembers([...members]) });
  const asset_id = uuid();
  add('asset_hash', 'newHash (sha3-256)', { asset_id },
    { kernel_asset_id: newHash(Buffer.from(asset_id)).toString('hex') });
  const [a, b] = [uuid(), uuid()];
  add('unique_id', 'uniqueConversationID', { a, b }, { id: uniqueConversationID(a, b) });
};
const addresses = () => {
  const seed_hex = hex(64), address = getMainnetAddressFromSeed(Buffer.from(seed_hex, 'hex'));
  add('xin_address', 'getMainnetAddressFromSeed', { seed_hex }, { address,
    public_hex: getPublicFromMainnetAddress(address).toString('hex') });
  const isXin = below(2) === 1;
  const uuidMembers = isXin ? [] : some(64, uuid).sort();
  const xinMembers = isXin ? some(8, () => getMainnetAddressFromSeed(Buffer.from(bytes(64)))) : [];
  const threshold = 1 + below(uuidMembers.length + xinMembers.length);
  const mix = { version: 2, uuidMembers, xinMembers, threshold };
  const text = buildMixAddress(mix);
  add('mix_address', 'buildMixAddress', { threshold, uuidMembers, xinMembers },
    { address: text, payload_hex: getMixAddressBuffer(mix).toString('hex') });
  add('mix_address', 'parseMixAddress', { address: text }, { parsed: parseMixAddress(text) });
  const broken = text.slice(0, -2) + (text.at(-2) === '2' ? '3' : '2') + text.at(-1);
  add('mix_address', 'parseMixAddress', { address: broken }, { parsed: parseMixAddress(broken) ?? null });
};
const payments = () => {
  const asked = { uuid: uuid(), asset: uuid(), amount: amount(), memo: hex(below(20)), trace: uuid() };
  if (!asked.memo) delete asked.memo;
  add('payment_uri', 'buildMixinOneSafePaymentUri', asked, { uri: buildMixinOneSafePaymentUri(asked) });
  const people = some(4, uuid).sort(), threshold = 1 + below(people.length);
  const invoice = newMixinInvoice(buildMixAddress({ version: 2, uuidMembers: people, xinMembers: [], threshold }));
  const entries = some(4, () => ({ trace_id: uuid(), asset_id: uuid(), amount: amount(),
    extra: hex(below(200)), index_references: [], hash_references: below(2) ? [hex(32)] : [] }));
  entries.forEach((entry, i) => { if (i && below(2)) entry.index_references.push(below(i)); });
  for (const e of entries) attachInvoiceEntry(invoice, {
    ...e, extra: Buffer.from(e.extra, 'hex'), amount: e.amount });
  add('invoice', 'getInvoiceString', { entries, recipient: people, threshold },
    { invoice: getInvoiceString(invoice), payload_hex: getInvoiceBuffer(invoice).toString('hex') });
  const amounts = some(12, amount), need = amount();
  let said;
  try {
    const { utxos, change } = getUnspentOutputsForRecipients(
      amounts.map((value, n) => ({ amount: value, state: 'unspent', n })),
      [buildSafeTransactionRecipient([uuid()], 1, need)]);
    said = { change: change.toFixed(), picked: utxos.map(u => u.n) };
  } catch (e) { said = { error: e.message }; }
  add('utxo_select', 'getUnspentOutputsForRecipients', { amounts, need }, said);
};

for (let i = 0; i < count; i += 1) for (const make of [transaction, names, addresses, payments]) make();
console.log(JSON.stringify({ about: `made by the SDK from seed ${seed}`, vectors }));
