// LlamaIndex.TS: its OpenAI class, which asks chat completions, and its agent.

import assert from "node:assert/strict";
import { OpenAI } from "@llamaindex/openai";
import { agent as makeAgent } from "@llamaindex/workflow";
import { tool } from "llamaindex";
import { z } from "zod";
import {
  BASE_URL,
  KEY,
  MODEL,
  PRICE_QUESTION,
  QUESTION,
  bookPrice,
  imageUrl,
  priced,
  run,
  said,
  shapePrice,
} from "./checks.mjs";

const llm = new OpenAI({ model: MODEL, apiKey: KEY, baseURL: BASE_URL });
const Shape = z.object({ shape: z.enum(["circle", "square", "triangle"]), red: z.boolean() });

/** A question, and the image where it is shown. */
const asked = (text) => [{ role: "user", content: text }];
const shown = (text) =>
  asked([
    { type: "text", text },
    { type: "image_url", image_url: { url: imageUrl() } },
  ]);

async function stream() {
  let text = "";
  for await (const chunk of await llm.chat({ messages: asked("Who are you?"), stream: true }))
    text += chunk.delta;
  return said(text);
}

async function structured() {
  const { message } = await llm.chat({ messages: asked("Name a shape."), responseFormat: Shape });
  return JSON.stringify(Shape.parse(JSON.parse(message.content)));
}

/** A tool that must be called, and the answer to its result, as `exec` puts it into the history. */
async function tools() {
  const drawn = [];
  const draw = tool({
    name: "draw",
    description: "Draws shapes.",
    parameters: z.object({ count: z.int() }),
    execute: ({ count }) => (drawn.push(count), "drawn"),
  });
  const messages = asked("Draw something.");
  const additionalChatOptions = { tool_choice: "required" };
  const { newMessages } = await llm.exec({ messages, tools: [draw], additionalChatOptions });
  assert.ok(drawn.length > 0, "the tool was not called");
  const last = await llm.exec({ messages: [...messages, ...newMessages], tools: [draw] });
  return `called with ${drawn}, ${JSON.stringify(last.newMessages.at(-1).content)}`;
}

/** An agent's loop about the image, with tools that it may call. */
async function agent() {
  const price = [
    tool({
      name: "shape_price",
      description: "The price of a shape, by its color and its kind.",
      parameters: z.object({ color: z.string(), shape: z.string() }),
      execute: (call) => String(shapePrice(call)),
    }),
    tool({
      name: "book_price",
      description: "The price of a book, by its title.",
      parameters: z.object({ title: z.string() }),
      execute: (call) => String(bookPrice(call)),
    }),
  ];
  const result = await makeAgent({ llm, tools: price }).run(shown(PRICE_QUESTION)[0].content);
  return priced(result.data.result);
}

await run({
  default: async () => said((await llm.chat({ messages: asked("Who are you?") })).message.content),
  picture: async () => said((await llm.chat({ messages: shown(QUESTION) })).message.content),
  stream,
  structured,
  tools,
  agent,
});
