// What comes from and goes to other chains, by Mixin's own SDK as published.
// node crossings.mjs READY address|seen; prints the bot's address, or what crossed, as JSON.
import { MixinApi } from '@mixin.dev/mixin-node-sdk';

const ready = JSON.parse(process.argv[2]);
const POLYGON = 'b7938396-3f94-4e0a-9179-d3440718156f';
const of = keystore => MixinApi({ keystore, requestConfig: { baseURL: ready.api } });

if (process.argv[3] === 'address') {
  const [entry] = await of(ready.bot).safe.depositEntries({
    members: [ready.bot.app_id], threshold: 1, chain_id: POLYGON });
  console.log(JSON.stringify(entry.destination));
} else {
  const came = await of(ready.bot).safe.fetchSafeSnapshots({ limit: 500 });
  const left = await of(ready.users[0]).safe.fetchSafeSnapshots({ limit: 500 });
  console.log(JSON.stringify({
    came: came.filter(s => s.deposit).map(s => [s.asset_id, s.amount, s.deposit.deposit_hash,
      s.deposit.destination]),
    left: left.filter(s => s.withdrawal).map(s => [s.asset_id, s.amount,
      s.withdrawal.withdrawal_hash, s.withdrawal.receiver]),
  }));
}
