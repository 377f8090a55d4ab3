#!/usr/bin/env bash
# @langchain/openai 1.6.0: LangChain's own image block reaches the Responses API in the form of chat completions.
#
# Guess: ChatOpenAI turns the image block that LangChain's guide shows (`type: "image"` with `source_type`) into
# what the route it takes understands, as it does with an OpenAI `image_url` part.
# Seen: with useResponsesApi the part is `{"type": "image_url", "image_url": {"url": …}}`, which no input of the
# Responses API may hold, in place of `input_image`; the `image_url` part, which is not LangChain's, is turned
# into `input_image`. Over chat completions both come out right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --no-audit --no-fund --no-package-lock \
    @langchain/openai@1.6.0 @langchain/core@1.4.0 openai@7.59.0 zod@4.6.7
cat >image.mjs <<'JAVASCRIPT'
import { readFileSync } from "node:fs";
import { HumanMessage } from "@langchain/core/messages";
import { ChatOpenAI } from "@langchain/openai";

const { version } = JSON.parse(readFileSync("node_modules/@langchain/openai/package.json"));
console.log("@langchain/openai", version);
console.log("guess: chat completions get image_url parts, Responses get input_image parts");

let body;
const fetch = async (_, request) => {
  body = JSON.parse(request.body);
  const error = { message: "nothing is answered here", type: "invalid_request_error" };
  return new Response(JSON.stringify({ error }), {
    status: 400,
    headers: { "content-type": "application/json" },
  });
};

async function sent(block, useResponsesApi) {
  const model = new ChatOpenAI({
    model: "gpt-4o",
    apiKey: "none",
    useResponsesApi,
    maxRetries: 0,
    configuration: { fetch },
  });
  const message = new HumanMessage({ content: [{ type: "text", text: "What is it?" }, block] });
  body = undefined;
  await model.invoke([message]).catch(() => {});
  const [{ content }] = body.input ?? body.messages;
  return content[1].type;
}

const data = "iVBORw0KGgo=";
const url = `data:image/png;base64,${data}`;
const blocks = {
  'image, source_type "base64"': { type: "image", source_type: "base64", mime_type: "image/png", data },
  'image, source_type "url"': { type: "image", source_type: "url", url },
  image_url: { type: "image_url", image_url: { url } },
};
const seen = [];
for (const [name, block] of Object.entries(blocks)) {
  const [overChat, overResponses] = [await sent(block, false), await sent(block, true)];
  console.log(`seen: ${name}: chat completions get ${overChat}, Responses get ${overResponses}`);
  seen.push(overChat, overResponses);
}
if (seen.join() !== "image_url,image_url,image_url,image_url,image_url,input_image") {
  console.error("the behaviour has changed");
  process.exit(1);
}
JAVASCRIPT
node image.mjs
