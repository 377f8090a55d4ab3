// Ask about an image with the openai package of npm; the answer is streamed.
// usage: npm ci && node vision.mjs image.png "What does the image show?"
//        OPENAI_BASE_URL names the server; the default is http://127.0.0.1:8000/v1

import { readFile } from "node:fs/promises";
import OpenAI from "openai";

const [image, question] = process.argv.slice(2);
const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "none", // any word will do, unless the server was started with a key
});
const model = (await client.models.list()).data[0].id;
// The server looks at the bytes, not at the media type.
const url = `data:image/png;base64,${await readFile(image, "base64")}`;
const stream = await client.chat.completions.create({
  model,
  messages: [
    {
      role: "user",
      content: [
        { type: "image_url", image_url: { url } },
        { type: "text", text: question },
      ],
    },
  ],
  max_tokens: 100,
  stream: true,
  stream_options: { include_usage: true },
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
  if (chunk.usage) console.error(`\n${chunk.usage.prompt_tokens} tokens in, ${chunk.usage.completion_tokens} out`);
}
console.log();
