// @openai/agents: agents over `/v1/responses`, its default, and over chat completions.

import assert from "node:assert/strict";

process.env.OPENAI_AGENTS_DISABLE_TRACING = "1"; // it would send traces to OpenAI
const {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIConversationsSession,
  run: runAgent,
  tool,
} = await import("@openai/agents");
const { default: OpenAI } = await import("openai");
const { z } = await import("zod");
const { MODEL, PRICE_QUESTION, QUESTION, bookPrice, imageUrl, priced, run, said, shapePrice } =
  await import("./checks.mjs");

const Shape = z.object({ shape: z.enum(["circle", "square", "triangle"]), red: z.boolean() });
const drawn = [];
const draw = tool({
  name: "draw",
  description: "Draws shapes.",
  parameters: z.object({ count: z.int().describe("How many.") }),
  execute: ({ count }) => (drawn.push(count), "drawn"),
});
const price = [
  tool({
    name: "shape_price",
    description: "The price of a shape, by its color and its kind.",
    parameters: z.object({ color: z.string(), shape: z.string() }),
    execute: shapePrice,
  }),
  tool({
    name: "book_price",
    description: "The price of a book, by its title.",
    parameters: z.object({ title: z.string() }),
    execute: bookPrice,
  }),
];
const helper = (more = {}) => new Agent({ name: "Helper", model: MODEL, ...more });
const drawer = (model) => helper({ model, tools: [draw], modelSettings: { toolChoice: "required" } });
const overChat = () => new OpenAIChatCompletionsModel(new OpenAI(), MODEL);

/** A question about the image. */
const shown = (text) => [
  {
    role: "user",
    content: [
      { type: "input_text", text },
      { type: "input_image", image: imageUrl() },
    ],
  },
];

async function stream() {
  const result = await runAgent(helper(), "Who are you?", { stream: true });
  let text = "";
  for await (const piece of result.toTextStream()) text += piece;
  await result.completed;
  assert.equal(text, result.finalOutput);
  return said(text);
}

async function structured() {
  const result = await runAgent(helper({ outputType: Shape }), "Name a shape.");
  return JSON.stringify(Shape.parse(result.finalOutput));
}

/** An agent that must call its tool first; what follows has the result. */
async function tools(model = MODEL, streamed = false) {
  drawn.length = 0;
  const result = await runAgent(drawer(model), "Draw a shape.", { stream: streamed });
  if (streamed) await result.completed;
  assert.ok(drawn.length > 0, "the tool was not called");
  return `called with ${drawn}, ${JSON.stringify(result.finalOutput)}`;
}

/** The same over chat completions: an image, then a tool, streamed. */
async function chat() {
  const answer = said((await runAgent(helper({ model: overChat() }), shown(QUESTION))).finalOutput);
  return `${answer}; ${await tools(overChat(), true)}`;
}

/** An agent that must hand over: to the server, a tool without parameters. Another agent then answers. */
async function handoff() {
  const other = helper({ name: "Other" });
  const first = helper({ handoffs: [other], modelSettings: { toolChoice: "required" } });
  const result = await runAgent(first, "Who are you?");
  assert.equal(result.lastAgent.name, "Other");
  return said(result.finalOutput);
}

/** Two turns in a session that the server keeps as a conversation. */
async function session() {
  const kept = new OpenAIConversationsSession();
  const turns = [shown(QUESTION), [{ role: "user", content: "Who are you?" }]];
  const answers = [];
  for (const turn of turns) {
    const result = await runAgent(helper(), turn, {
      session: kept,
      sessionInputCallback: (earlier, later) => [...earlier, ...later],
    });
    answers.push(said(result.finalOutput));
  }
  assert.equal((await kept.getItems()).length, 4);
  await kept.clearSession();
  return answers.join("; ");
}

await run({
  default: async () =>
    said((await runAgent(helper({ instructions: "You are helpful." }), "Who are you?")).finalOutput),
  picture: async () => said((await runAgent(helper(), shown(QUESTION))).finalOutput),
  stream,
  structured,
  tools,
  tools_stream: () => tools(MODEL, true),
  handoff,
  session,
  agent: async () => priced((await runAgent(helper({ tools: price }), shown(PRICE_QUESTION))).finalOutput),
  chat,
});
