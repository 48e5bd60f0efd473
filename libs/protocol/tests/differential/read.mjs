// Reads an SSE byte stream from stdin with eventsource-parser, the reader the web console uses, and writes one
// JSON line per dispatched event: {"id", "event", "data", "retry"}.
//
//   node read.mjs [CHUNK_BYTES] < stream      feeds the parser CHUNK_BYTES bytes at a time (default: all at once)
//
// `id` is the last event id in force at that event ("" before the first), `event` defaults to "message", `retry`
// is the last reconnection time seen (null before the first). The parser itself keeps none of these between
// events, so this file does. One limit comes with it: an id in a block without data is never reported, so such
// an id is not in force here, although the standard (and read.py) says it is.
//
// The package is looked up from $FUNDBOND_NODE_MODULES (the directory that contains `node_modules`), else from
// this folder. `require` is used because an `import` is resolved from this file alone.
import { readFileSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const packageHome = process.env.FUNDBOND_NODE_MODULES || import.meta.dirname;
const { createParser } = createRequire(join(packageHome, 'package.json'))('eventsource-parser');

const bytes = readFileSync(0);
const chunkBytes = process.argv[2] === undefined ? Math.max(bytes.length, 1) : Number(process.argv[2]);
if (!Number.isInteger(chunkBytes) || chunkBytes < 1) {
  throw new Error(`CHUNK_BYTES must be a whole number from 1, got "${process.argv[2]}"`);
}

let id = '';
let retry = null;
const lines = [];
const parser = createParser({
  onEvent(event) {
    id = event.id ?? id;
    lines.push(JSON.stringify({ id, event: event.event ?? 'message', data: event.data, retry }));
  },
  onRetry(milliseconds) {
    retry = milliseconds;
  },
});

// A chunk may end inside a character: the decoder keeps the rest for the next one.
const decoder = new TextDecoder('utf-8', { fatal: true });
for (let start = 0; start < bytes.length; start += chunkBytes) {
  parser.feed(decoder.decode(bytes.subarray(start, start + chunkBytes), { stream: true }));
}
parser.feed(decoder.decode());

let output = Buffer.from(lines.map((line) => `${line}\n`).join(''));
while (output.length > 0) {
  output = output.subarray(writeSync(1, output));
}
