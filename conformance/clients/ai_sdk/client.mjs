// The AI SDK: its provider for OpenAI, over `/v1/responses`, the default, and over chat completions; its
// provider for compatible servers.

import assert from "node:assert/strict";
import { openai } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import {
  Output,
  ToolLoopAgent,
  generateObject,
  generateText,
  isStepCount,
  streamObject,
  streamText,
  tool,
} from "ai";
import { z } from "zod";
import {
  BASE_URL,
  KEY,
  MODEL,
  PRICE_QUESTION,
  QUESTION,
  bookPrice,
  imageBytes,
  priced,
  run,
  said,
  shapePrice,
} from "./checks.mjs";

const compatible = createOpenAICompatible({
  name: "phiserve",
  baseURL: BASE_URL,
  apiKey: KEY,
  includeUsage: true, // without it, it asks for no counts of a stream
  supportsStructuredOutputs: true, // without it, it asks for JSON of any form and tells the model no schema
})(MODEL);
const Shape = z.object({ shape: z.enum(["circle", "square", "triangle"]), red: z.boolean() });
const price = {
  shape_price: tool({
    description: "The price of a shape, by its color and its kind.",
    inputSchema: z.object({ color: z.string(), shape: z.string() }),
    execute: shapePrice,
  }),
  book_price: tool({
    description: "The price of a book, by its title.",
    inputSchema: z.object({ title: z.string() }),
    execute: bookPrice,
  }),
};

/** A question about the image. */
const shown = (text) => [
  {
    role: "user",
    content: [
      { type: "text", text },
      { type: "file", mediaType: "image/png", data: imageBytes() },
    ],
  },
];

async function picture(model) {
  return said((await generateText({ model, messages: shown(QUESTION) })).text);
}

async function stream(model) {
  const result = streamText({ model, prompt: "Who are you?", onError: ({ error }) => console.error(error) });
  let text = "";
  for await (const piece of result.textStream) text += piece;
  assert.ok((await result.usage).outputTokens > 0, "the counts are missing");
  return said(text);
}

/** `Output.object`, and the two older functions, one of them streamed. */
async function structured(model) {
  const asked = { model, prompt: "Name a shape." };
  const streamed = streamObject({ ...asked, schema: Shape });
  for await (const _ of streamed.partialObjectStream); // nothing comes unless it is read
  const outputs = [
    (await generateText({ ...asked, output: Output.object({ schema: Shape }) })).output,
    (await generateObject({ ...asked, schema: Shape })).object,
    await streamed.object,
  ];
  return JSON.stringify(outputs.map((output) => Shape.parse(output)));
}

/** A tool that must be called in the first step; the second has its result. Streamed or whole. */
async function tools(model, generate) {
  const drawn = [];
  const draw = tool({
    description: "Draws shapes.",
    inputSchema: z.object({ count: z.int() }),
    execute: ({ count }) => (drawn.push(count), "drawn"),
  });
  const result = await generate({
    model,
    prompt: "Draw something.",
    tools: { draw },
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "auto" }),
    stopWhen: isStepCount(2),
  });
  const steps = await result.steps;
  assert.ok(drawn.length > 0, "the tool was not called");
  assert.equal(steps.length, 2);
  return `called with ${drawn}, ${JSON.stringify(steps[1].text)}`;
}

const generateStreamed = async (asked) => {
  const result = streamText(asked);
  await result.consumeStream();
  return result;
};

/** An agent as it is by default: a loop about the image, with tools that it may call. */
async function agent(model) {
  return priced(
    (await new ToolLoopAgent({ model, tools: price }).generate({ messages: shown(PRICE_QUESTION) })).text,
  );
}

/** A conversation of two turns: the second refers to what the first one's response stored. */
async function secondTurn(model) {
  const messages = shown(QUESTION);
  const first = await generateText({ model, messages });
  messages.push(...first.response.messages, { role: "user", content: "Who are you?" });
  return said((await generateText({ model, messages })).text);
}

/** The checks of a model, their names after a word for its route where it is not the default one. */
function checks(model, route = "") {
  const all = {
    default: async () => said((await generateText({ model, prompt: "Who are you?" })).text),
    picture: () => picture(model),
    stream: () => stream(model),
    structured: () => structured(model),
    tools: () => tools(model, generateText),
    agent: () => agent(model),
    tools_stream: () => tools(model, generateStreamed),
    second_turn: () => secondTurn(model),
  };
  return Object.fromEntries(Object.entries(all).map(([name, check]) => [route + name, check]));
}

await run({
  ...checks(openai(MODEL)),
  ...checks(openai.chat(MODEL), "chat_"),
  ...checks(compatible, "compatible_"),
});
