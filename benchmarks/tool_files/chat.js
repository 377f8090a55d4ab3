// Load for k6: the requests of a file of JSON lines, BENCH_BODIES, in turn; BENCH_URL is the server.
import http from 'k6/http';
import { check } from 'k6';
import exec from 'k6/execution';

const bodies = open(__ENV.BENCH_BODIES).trim().split('\n');

export default function () {
  const body = bodies[exec.scenario.iterationInTest % bodies.length];
  const headers = { 'Content-Type': 'application/json' };
  const answer = http.post(`${__ENV.BENCH_URL}/v1/chat/completions`, body, { headers, timeout: '300s' });
  check(answer, { answered: (a) => a.status === 200 && a.body.includes('[DONE]') });
}
