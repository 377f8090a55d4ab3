// openai-node: chat completions, responses, zod's schemas and `runTools`.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
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

const client = new OpenAI();
const Shape = z.object({ shape: z.enum(["circle", "square", "triangle"]), red: z.boolean() });
const Drawing = z.object({ count: z.int().min(0).max(9) });
const user = (content) => ({ role: "user", content });

/** A question about the image, in the parts of chat completions. */
const shown = (text) => [
  user([
    { type: "text", text },
    { type: "image_url", image_url: { url: imageUrl() } },
  ]),
];

async function chatted(messages) {
  const completion = await client.chat.completions.create({ model: MODEL, messages });
  return said(completion.choices[0].message.content);
}

async function stream() {
  const events = client.chat.completions.stream({ model: MODEL, messages: [user("Who are you?")] });
  let text = "";
  for await (const chunk of events) text += chunk.choices[0]?.delta.content ?? "";
  assert.equal(text, await events.finalContent());
  return said(text);
}

async function structured() {
  const completion = await client.chat.completions.parse({
    model: MODEL,
    messages: [user("Name a shape.")],
    response_format: zodResponseFormat(Shape, "shape"),
  });
  return JSON.stringify(Shape.parse(completion.choices[0].message.parsed));
}

/** A tool that must be called: where the choice names one, `runTools` ends there. Whole, then streamed. */
async function tools() {
  const details = [];
  for (const stream of [false, true]) {
    const drawn = [];
    const draw = ({ count }) => (drawn.push(count), "drawn");
    const tools = [zodFunction({ name: "draw", parameters: Drawing, function: draw })];
    const runner = client.chat.completions.runTools({
      model: MODEL,
      messages: [user("Draw something.")],
      tools,
      tool_choice: { type: "function", function: { name: "draw" } },
      stream,
    });
    await runner.done();
    assert.equal(drawn.length, 1);
    assert.equal(runner.messages.at(-1).role, "tool");
    const next = client.chat.completions.runTools({ model: MODEL, messages: runner.messages, tools, stream });
    details.push(`called with ${drawn}, ${JSON.stringify(await next.finalContent())}`);
  }
  return details.join("; ");
}

/** `runTools` as it is without a choice: a loop about the image, with tools that may be called. */
async function agent() {
  const book = z.object({ title: z.string() });
  const shape = z.object({ color: z.string(), shape: z.string() });
  const runner = client.chat.completions.runTools({
    model: MODEL,
    messages: shown(PRICE_QUESTION),
    tools: [
      zodFunction({
        name: "shape_price",
        description: "The price of a shape, by its color and its kind.",
        parameters: shape,
        function: (asked) => String(shapePrice(asked)),
      }),
      zodFunction({
        name: "book_price",
        description: "The price of a book, by its title.",
        parameters: book,
        function: (asked) => String(bookPrice(asked)),
      }),
    ],
  });
  return priced(await runner.finalContent());
}

async function responses() {
  const parts = [
    { type: "input_text", text: QUESTION },
    { type: "input_image", image_url: imageUrl() },
  ];
  return said((await client.responses.create({ model: MODEL, input: [user(parts)] })).output_text);
}

async function responsesStream() {
  const events = client.responses.stream({ model: MODEL, input: "Who are you?" });
  let text = "";
  for await (const event of events) if (event.type === "response.output_text.delta") text += event.delta;
  assert.equal(text, (await events.finalResponse()).output_text);
  return said(text);
}

async function responsesStructured() {
  const response = await client.responses.parse({
    model: MODEL,
    input: "Name a shape.",
    text: { format: zodTextFormat(Shape, "shape") },
  });
  return JSON.stringify(Shape.parse(response.output_parsed));
}

async function responsesTools() {
  const offered = [zodResponsesFunction({ name: "draw", parameters: Drawing })];
  const input = [user("Draw something.")];
  const first = await client.responses.parse({
    model: MODEL,
    input,
    tools: offered,
    tool_choice: "required",
  });
  const made = first.output.filter((item) => item.type === "function_call");
  assert.ok(made.length > 0);
  const results = made.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "drawn" }));
  const second = await client.responses.create({
    model: MODEL,
    previous_response_id: first.id,
    input: results,
    tools: offered,
  });
  const counts = made.map((call) => Drawing.parse(call.parsed_arguments).count);
  return `called with ${counts}, ${JSON.stringify(second.output_text)}`;
}

await run({
  default: () => chatted([user("Who are you?")]),
  picture: () => chatted(shown(QUESTION)),
  stream,
  structured,
  tools,
  agent,
  responses,
  responses_stream: responsesStream,
  responses_structured: responsesStructured,
  responses_tools: responsesTools,
});
