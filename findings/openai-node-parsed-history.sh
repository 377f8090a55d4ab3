#!/usr/bin/env bash
# openai (npm) 7.59.0: what `responses.parse()` has parsed goes back to the API with the conversation.
#
# Guess: `input.push(...response.output)` sends back what the API said, as it does after `responses.create()`;
# what the client parsed for its user stays with the user. The Python client of the same vendor leaves it out.
# Seen: calls are sent with `parsed_arguments` and texts with `parsed`, keys that the API's own input items do
# not have. The TypeScript types let them through.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --no-package-lock openai@7.59.0 zod@4.6.7
cat >history.mjs <<'JAVASCRIPT'
import OpenAI from "openai";
import { zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { VERSION } from "openai/version";
import { z } from "zod";

console.log("openai", VERSION);
console.log("guess: the output comes back as the API said it, by parse() as by create()");

const output = [
  {
    type: "message",
    id: "msg_1",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text: '{"count":1}', annotations: [] }],
  },
  {
    type: "function_call",
    id: "fc_1",
    call_id: "call_1",
    name: "draw",
    arguments: '{"count":2}',
    status: "completed",
  },
];
let body;
const fetch = async (_, request) => {
  body = JSON.parse(request.body);
  const answer = { id: "resp_1", object: "response", created_at: 1, status: "completed", output };
  return new Response(JSON.stringify(answer), { headers: { "content-type": "application/json" } });
};
const client = new OpenAI({ apiKey: "none", fetch, maxRetries: 0 });
const schema = z.object({ count: z.int() });
const asked = {
  model: "gpt-4o",
  input: "Hello",
  tools: [zodResponsesFunction({ name: "draw", parameters: schema })],
  text: { format: zodTextFormat(schema, "count") },
};

async function added(way) {
  const response = await client.responses[way](asked);
  const result = { type: "function_call_output", call_id: "call_1", output: "drawn" };
  await client.responses.create({ model: "gpt-4o", input: [...response.output, result] });
  const [message, call] = body.input;
  const keys = (sent, said) => Object.keys(sent).filter((key) => !(key in said));
  return [...keys(message.content[0], output[0].content[0]), ...keys(call, output[1])].join(", ") || "nothing";
}

const seen = [await added("create"), await added("parse")];
console.log(`seen: after create(), ${seen[0]} is added; after parse(), ${seen[1]}`);
if (seen[0] !== "nothing" || seen[1] !== "parsed, parsed_arguments") {
  console.error("the behaviour has changed");
  process.exit(1);
}
JAVASCRIPT
node history.mjs
