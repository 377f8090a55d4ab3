// Runs the checks of a client written in JavaScript and prints a line of JSON for each, as soon as it has
// ended, as checks.py does. Copied beside each `client.mjs`; needs nothing but Node.

import assert from "node:assert/strict";
import { readFileSync, readSync, writeSync } from "node:fs";

/** The server's address, with /v1. */
export const BASE_URL = process.env.OPENAI_BASE_URL ?? "";
export const KEY = process.env.OPENAI_API_KEY ?? "";
export const MODEL = process.env.PHISERVE_MODEL ?? "";

/** A PNG file with shapes, as the demo model knows them. */
export const IMAGE = process.env.PHISERVE_IMAGE ?? "image.png";

/** A question about the image in words that the demo model knows. */
export const QUESTION = "What shapes are in this image?";

/** A question about the image that only the tools below can answer. */
export const PRICE_QUESTION = "What does the circle cost?";

const PRICE = 12;

/** What the tools below were called with since the last `priced`. */
const calls = [];

/** The client cannot do this at all; the message says why. */
export class CannotDo extends Error {}

/** The image's bytes. */
export const imageBytes = () => readFileSync(IMAGE);

/** The image as a data URL. */
export const imageUrl = () => `data:image/png;base64,${imageBytes().toString("base64")}`;

/** A detail that tells what was answered. Throws where that is no text or none. */
export function said(text) {
  assert.equal(typeof text, "string", `no text but ${JSON.stringify(text)}`);
  assert.ok(text.trim(), "the answer is empty");
  return text.trim();
}

/** The price of a shape, by its color and its kind. */
export function shapePrice({ color, shape }) {
  calls.push({ tool: "shape_price", color, shape });
  return PRICE;
}

/** The price of a book, by its title. */
export function bookPrice({ title }) {
  calls.push({ tool: "book_price", title });
  return PRICE;
}

/**
 * A detail that tells what was called and answered. Throws unless the image's circle, a red one, was asked
 * for, and unless the answer has the price that the tool said.
 */
export function priced(answer) {
  const made = calls.splice(0);
  const told = `called ${JSON.stringify(made)}, answered ${JSON.stringify(answer)}`;
  assert.ok(
    made.some((call) => call.color === "red" && call.shape === "circle"),
    told,
  );
  assert.ok(String(answer).includes(PRICE), told);
  return told;
}

/** Runs the checks named on the command line, or all of them. Each returns its detail. */
export async function run(checks) {
  const asked = process.argv.slice(2);
  for (const [name, check] of Object.entries(checks)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const [ok, detail] = await outcome(check);
    const line = { check: name, ok, detail: detail.replace(/\s+/g, " ").slice(0, 400) };
    writeSync(1, `${JSON.stringify(line)}\n`);
    readSync(0, Buffer.alloc(1)); // what is asked from here on is the next check's
  }
  process.exit(0); // what a client leaves open must not hold us up
}

async function outcome(check) {
  try {
    return [true, String(await check())];
  } catch (error) {
    if (error instanceof CannotDo) return [null, error.message];
    console.error(error);
    return [false, `${error?.name}: ${error?.message}`];
  }
}
