#!/usr/bin/env bash
# @langchain/openai 1.6.0: over the Responses API, `tool_choice` is not sent where it is a word.
#
# Guess: bindTools(tools, { tool_choice }) sends the same choice whichever route ChatOpenAI takes; "none"
# forbids calls, "required" and LangChain's own "any" ask for one.
# Seen: with useResponsesApi the request has no tool_choice at all for "auto", "none", "required" and "any", and
# nothing says so; the API's default, "auto", is in force. A choice that names a tool is sent. Chat completions
# send all of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --no-package-lock \
    @langchain/openai@1.6.0 @langchain/core@1.4.0 openai@7.59.0 zod@4.6.7
cat >choices.mjs <<'JAVASCRIPT'
import { readFileSync } from "node:fs";
import { ChatOpenAI } from "@langchain/openai";

const { version } = JSON.parse(readFileSync("node_modules/@langchain/openai/package.json"));
console.log("@langchain/openai", version);
console.log("guess: both routes send every choice");

let body;
const fetch = async (_, request) => {
  body = JSON.parse(request.body);
  const error = { message: "nothing is answered here", type: "invalid_request_error" };
  return new Response(JSON.stringify({ error }), {
    status: 400,
    headers: { "content-type": "application/json" },
  });
};
const parameters = { type: "object", properties: {} };
const tool = { type: "function", function: { name: "draw", description: "Draws.", parameters } };

async function sent(tool_choice, useResponsesApi) {
  const model = new ChatOpenAI({
    model: "gpt-4o",
    apiKey: "none",
    useResponsesApi,
    maxRetries: 0,
    configuration: { fetch },
  });
  body = undefined;
  await model.bindTools([tool], { tool_choice }).invoke("Hello").catch(() => {});
  if (body.tools[0].name !== "draw" && body.tools[0].function?.name !== "draw") throw new Error("no tool was sent");
  return JSON.stringify(body.tool_choice) ?? "nothing";
}

const named = { chat: '{"type":"function","function":{"name":"draw"}}', responses: '{"type":"function","name":"draw"}' };
const expected = {
  auto: ['"auto"', "nothing"],
  none: ['"none"', "nothing"],
  required: ['"required"', "nothing"],
  any: ['"required"', "nothing"],
  draw: [named.chat, named.responses],
};
let changed = false;
for (const [choice, [overChat, overResponses]] of Object.entries(expected)) {
  const seen = [await sent(choice, false), await sent(choice, true)];
  console.log(`seen: "${choice}": chat completions sends ${seen[0]}, Responses sends ${seen[1]}`);
  changed ||= seen[0] !== overChat || seen[1] !== overResponses;
}
if (changed) {
  console.error("the behaviour has changed");
  process.exit(1);
}
JAVASCRIPT
node choices.mjs
