// Ask typed questions about an image with the openai package of npm; each is answered with probabilities.
// usage: npm ci && node decisions.mjs image.png "Is there a chart?"
//        OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1

import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const [image, statement] = process.argv.slice(2);
const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "none", // any word will do, unless the server was started with a key
});
const model = (await client.models.list()).data[0].id;
// The server looks at the bytes, not at the media type.
const url = `data:image/png;base64,${await readFile(image, "base64")}`;
const decision = await client.decisions.create({
  model,
  input: [{ role: "user", content: [{ type: "input_image", image_url: url }] }],
  questions: [
    { type: "predicate", instructions: statement },
    {
      type: "choice",
      instructions: "What kind of image is it?",
      choices: [{ value: "chart" }, { value: "photograph" }, { value: "something else" }],
    },
    {
      type: "score",
      instructions: "How colourful is it?",
      levels: [{ label: "grey" }, { label: "pale" }, { label: "colourful" }],
    },
  ],
});
for (const answer of decision.answers) {
  if (answer.type === "predicate") console.log(`yes: ${answer.probability}`);
  if (answer.type === "choice") console.log(`${answer.choice}, confidence ${answer.confidence}`);
  if (answer.type === "score") console.log(`${answer.score} of 0 to ${answer.probabilities.length - 1}`);
  if (answer.type === "refusal") console.log("no answer");
}
console.error(`${decision.usage.input_tokens} tokens`);
