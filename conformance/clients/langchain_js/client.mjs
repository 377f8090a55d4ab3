// LangChain.js: its chat model of OpenAI's, bound tools, structured output and an agent.

import assert from "node:assert/strict";

process.env.LANGSMITH_TRACING = "false"; // off by default; a user's own environment may have it on
const { HumanMessage } = await import("@langchain/core/messages");
const { ChatOpenAI } = await import("@langchain/openai");
const { createAgent, tool } = await import("langchain");
const { z } = await import("zod");
const { MODEL, PRICE_QUESTION, QUESTION, bookPrice, imageUrl, priced, run, said, shapePrice } =
  await import("./checks.mjs");

const model = new ChatOpenAI({ model: MODEL });
const overResponses = new ChatOpenAI({ model: MODEL, useResponsesApi: true });
const Shape = z.object({ shape: z.enum(["circle", "square", "triangle"]), red: z.boolean() });
const draw = tool(() => "drawn", {
  name: "draw",
  description: "Draws so many shapes.",
  schema: z.object({ count: z.int() }),
});
const price = [
  tool((asked) => String(shapePrice(asked)), {
    name: "shape_price",
    description: "The price of a shape, by its color and its kind.",
    schema: z.object({ color: z.string(), shape: z.string() }),
  }),
  tool((asked) => String(bookPrice(asked)), {
    name: "book_price",
    description: "The price of a book, by its title.",
    schema: z.object({ title: z.string() }),
  }),
];

/** A question about the image. */
const shown = (text) =>
  new HumanMessage({
    content: [
      { type: "text", text },
      { type: "image_url", image_url: { url: imageUrl() } },
    ],
  });

async function stream(chat = model) {
  let whole;
  for await (const chunk of await chat.stream("Who are you?")) whole = whole ? whole.concat(chunk) : chunk;
  assert.ok(whole.usage_metadata.output_tokens > 0, "the counts are missing");
  return said(whole.text);
}

/** The default method, a JSON schema, and the one of tools. */
async function structured() {
  const outputs = [];
  for (const config of [undefined, { method: "functionCalling" }])
    outputs.push(Shape.parse(await model.withStructuredOutput(Shape, config).invoke("Name a shape.")));
  return JSON.stringify(outputs);
}

/** A tool that must be called, by a choice of the client's, and the answer to its result. */
async function tools(chat, choice) {
  const question = new HumanMessage("Draw something.");
  const answer = await chat.bindTools([draw], { tool_choice: choice }).invoke([question]);
  assert.ok(answer.tool_calls.length > 0, "the tool was not called");
  const results = await Promise.all(answer.tool_calls.map((call) => draw.invoke(call)));
  const last = await chat.bindTools([draw]).invoke([question, answer, ...results]);
  const made = answer.tool_calls.map((call) => call.args);
  return `called with ${JSON.stringify(made)}, ${JSON.stringify(last.text)}`;
}

/** A loop about the image, with tools that it may call. */
async function agent() {
  const { messages } = await createAgent({ model, tools: price }).invoke({
    messages: [shown(PRICE_QUESTION)],
  });
  return priced(messages.at(-1).text);
}

/** An agent with a tool and a form for its last answer. */
async function agentStructured() {
  const helper = createAgent({ model, tools: [draw], responseFormat: Shape });
  const { structuredResponse } = await helper.invoke({ messages: ["Name a shape."] });
  return JSON.stringify(Shape.parse(structuredResponse));
}

await run({
  default: async () => said((await model.invoke("Who are you?")).text),
  picture: async () => said((await model.invoke([shown(QUESTION)])).text),
  stream,
  structured,
  tools: () => tools(model, "required"),
  agent,
  agent_structured: agentStructured,
  responses: () => stream(overResponses),
  responses_tools: () => tools(overResponses, "draw"), // it sends no choice at all where that is "required"
});
