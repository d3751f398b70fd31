// Places orders through the gateway: 30 s to 15, 3 min to 25, 1 min to 0 virtual users (QUICK=1: 30 s in all).
// SEED names a JSON file {"tokens": [...], "products": [...]} that bench.load writes before it starts k6.
import http from 'k6/http';
import { check } from 'k6';
import { SharedArray } from 'k6/data';
import exec from 'k6/execution';

const seed = new SharedArray('seed', () => [JSON.parse(open(__ENV.SEED))]);
const quick = __ENV.QUICK === '1';

export const options = {
  stages: quick
    ? [{ duration: '5s', target: 15 }, { duration: '20s', target: 25 }, { duration: '5s', target: 0 }]
    : [{ duration: '30s', target: 15 }, { duration: '3m', target: 25 }, { duration: '1m', target: 0 }],
  thresholds: { http_req_duration: ['p(95)<1000'], http_req_failed: ['rate<0.01'] },
  summaryTrendStats: ['avg', 'min', 'med', 'p(90)', 'p(95)', 'p(99)', 'max'],
};

function lines(products) {
  const first = Math.floor(Math.random() * products.length);
  const count = Math.min(1 + Math.floor(Math.random() * 5), products.length);
  return Array.from({ length: count }, (_, i) => ({
    product_id: products[(first + i) % products.length],
    quantity: 1 + Math.floor(Math.random() * 3),
  }));
}

export default function place() {
  const { tokens, products } = seed[0];
  const token = tokens[exec.vu.idInTest % tokens.length];
  const answer = http.post(`${__ENV.GATEWAY}/api/v1/orders`, JSON.stringify({ lines: lines(products) }), {
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Bearer ${token}`,
      'Idempotency-Key': `${__ENV.RUN}-${exec.vu.idInTest}-${exec.vu.iterationInInstance}`,
    },
  });
  check(answer, { 'is 201': (r) => r.status === 201 });
}
