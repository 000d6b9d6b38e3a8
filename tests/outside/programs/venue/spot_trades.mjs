// Run by a test beside the locked packages; prints what the official SDK saw as JSON.
import { generateKeyPairSync } from 'node:crypto';
import { Spot } from '@binance/spot';

const WAIT_MS = 20_000;
const ready = JSON.parse(process.argv[2]);
const streamUrl = ready.ws.replace('/stream/ws', '');
console.info = console.warn = () => {};

function within(promise, what) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`nothing came in time: ${what}`)), WAIT_MS).unref();
  });
  return Promise.race([promise, late]);
}

async function registered(account, key) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const answer = await fetch(`${ready.admin}/keys`, {
    method: 'POST',
    body: JSON.stringify({
      account,
      key,
      public_key: publicKey.export({ type: 'spki', format: 'pem' }),
    }),
  });
  if (answer.status !== 200) throw new Error(await answer.text());
  return { apiKey: key, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) };
}

function client(keys) {
  return new Spot({
    configurationRestAPI: { ...keys, basePath: ready.rest },
    configurationWebsocketAPI: { ...keys, wsURL: ready.ws_api },
    configurationWebsocketStreams: { wsURL: streamUrl },
  });
}

const seen = {};
const first = ready.accounts[0];
const hmac = client({ apiKey: first.key, apiSecret: first.secret });
const signer = client(await registered(2, 'node-ed25519'));
const data = async (call) => (await call).data();

// Over REST, one account with each kind of key.
seen.symbols = (await data(hmac.restAPI.exchangeInfo({ symbols: ['BTCUSDT', 'ETHUSDT'] }))).symbols.length;
const limit = { symbol: 'BTCUSDT', type: 'LIMIT', timeInForce: 'GTC', quantity: 0.002, price: 61000 };
const maker = await data(hmac.restAPI.newOrder({ ...limit, side: 'SELL' }));
seen.maker = maker.status;
const market = { symbol: 'BTCUSDT', side: 'BUY', type: 'MARKET', quoteOrderQty: 61 };
const taker = await data(signer.restAPI.newOrder(market));
seen.taker = [taker.status, taker.fills[0].price, taker.executedQty];
seen.window = (await data(hmac.restAPI.ticker({ symbol: 'BTCUSDT', windowSize: '1h' }))).count;
seen.day = (await data(hmac.restAPI.tickerTradingDay({ symbol: 'BTCUSDT' }))).count;
seen.uid = (await data(signer.restAPI.getAccount({ omitZeroBalances: true }))).uid;
seen.lists = [await data(hmac.restAPI.openOrderList()), await data(hmac.restAPI.allOrderList())];
const changed = await data(
  hmac.restAPI.orderCancelReplace({
    ...limit,
    side: 'SELL',
    price: 61001,
    cancelReplaceMode: 'STOP_ON_FAILURE',
    cancelOrderId: maker.orderId,
  }),
);
seen.changed = [changed.cancelResult, changed.newOrderResult];
try {
  await hmac.restAPI.newOrder({ ...limit, side: 'BUY', price: 61000.001 });
} catch (refusal) {
  seen.refusal = [refusal.name, refusal.code ?? null, refusal.message];
}

// Over the WebSocket API, in a session that is logged on with the Ed25519 key.
const api = await signer.websocketAPI.connect();
seen.logon = (await api.sessionLogon()).map?.((one) => one.data.apiKey) ?? null;
const status = await api.sessionStatus();
seen.session = status.data.apiKey;
const told = new Promise((resolve) => {
  api.userDataStreamSubscribe().then(({ stream }) => {
    seen.subscribed = true;
    stream.on('message', (event) => {
      if (event.e === 'executionReport') resolve([event.x, event.X]);
    });
  });
});
while (!seen.subscribed) await new Promise((resolve) => setTimeout(resolve, 20));
const placed = await api.orderPlace({ ...limit, side: 'BUY', price: 50000 });
seen.placed = placed.data.status;
seen.event = await within(told, 'the order event');
seen.cancelled = (await api.orderCancel({ symbol: 'BTCUSDT', orderId: placed.data.orderId })).data.status;
seen.logout = (await api.sessionLogout()).map?.((one) => one.data.apiKey) ?? null;
await api.disconnect();

// Market streams: the hand-written clients of others ask for these.
const streams = await hmac.websocketStreams.connect();
const heard = (stream) => new Promise((resolve) => stream.on('message', resolve));
const watched = [
  heard(streams.kline({ symbol: 'BTCUSDT', interval: '1s' })),
  heard(streams.allMiniTicker()),
  heard(streams.rollingWindowTicker({ symbol: 'BTCUSDT', windowSize: '1h' })),
  heard(streams.diffBookDepth({ symbol: 'BTCUSDT', updateSpeed: '100ms' })),
];
await new Promise((resolve) => setTimeout(resolve, 500));
await signer.restAPI.newOrder({ ...market, quoteOrderQty: 6.1 });
const frames = await within(Promise.all(watched), 'market streams');
seen.streams = frames.map((frame) => (Array.isArray(frame) ? frame[0].e : frame.e));
await streams.disconnect();
process.stdout.write(JSON.stringify(seen));
process.exit(0);
