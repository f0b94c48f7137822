// A program that calls everything the addon exports with everything that can be wrong, from outside and from inside the call
// that tells of events, while connections of its own keep it busy. Arguments: a seed and how many milliseconds. It ends with
// one line on stdout; a call that answers in a way which addon.ts does not document is an exception. misuse.test.ts runs it.

import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Addon, isMissing, loadAddon, type SharedMemory } from "../../../src/io/native/addon.ts";
import {
  ACCEPTED,
  COMMAND_INTS,
  COMMANDS_MAX,
  CONNECTED,
  DESTROY,
  EVENT_INTS,
  EVENTS_MAX,
  READ,
  RECEIVE_BYTES,
  SEND_BYTES,
  SLOTS_MAX,
} from "../../../src/io/native/wire.ts";
import { SeededRandom } from "../../../src/testing/seeded-random.ts";

const [seed = 0, forMs = 0] = process.argv.slice(2).map(Number);
const chance = new SeededRandom(seed);
const loaded = loadAddon();
if (isMissing(loaded)) throw new Error(loaded.reason);
const addon: Addon = loaded;

/** What a call may throw. */
const documentedErrors = new Set(["ERR_INVALID_ARG_TYPE", "ERR_OUT_OF_RANGE", "ERR_NOT_OPEN", "ERR_OPEN"]);
/** Above this, connections are closed before more are made: the program is about calls, not about load. */
const SOCKETS_MAX = 60;
const file = openSync(import.meta.filename, "r");

/** What addon.open gave, as numbers; empty when the memory was taken away. */
type Views = Record<keyof SharedMemory, Int32Array>;
let memory: Views | null = null;
let calls = 0;
let thrown = 0;
let batches = 0;
let faults = 0;
/** Slots that were told of, closed ones as well. */
const slots: number[] = [];
/** Listening descriptors that no slot owns. */
const descriptors: number[] = [];
/** Those that a slot owns or owned: closing one of them from outside would take a number away that is in use. */
const owned = new Set<number>();
let port = 1;

const oddNumbers = [
  -1,
  0,
  1,
  2,
  -0,
  0.5,
  255,
  65_535,
  65_536,
  SLOTS_MAX - 1,
  SLOTS_MAX,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  1e300,
  -1e300,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
] as const;
const throwing = {
  valueOf: () => assert.fail("valueOf was called"),
  toString: () => assert.fail("toString was called"),
};
const oddValues: readonly (() => unknown)[] = [
  () => undefined,
  () => null,
  () => true,
  () => "",
  () => "1",
  () => "x".repeat(300),
  () => "127.0.0.1\0x",
  () => "\ud800",
  () => 10n,
  () => Symbol("x"),
  () => [],
  () => ({}),
  () => throwing,
  () => new Proxy({}, { get: () => assert.fail("a proxy was asked") }),
  () => new Uint8Array(4),
  () => new ArrayBuffer(4),
  () => () => assert.fail("a function was called"),
  () => new Date(0),
  () => Object(1),
];

const number = (): number => (chance.chance(0.5) ? chance.pick(oddNumbers) : chance.between(-4, 70));
const slot = (): number => (slots.length > 0 && chance.chance(0.85) ? chance.pick(slots) : number());
const boolean = (): boolean => chance.chance(0.5);
const address = (): unknown =>
  chance.pick([
    "127.0.0.1",
    "127.0.0.1",
    "::1",
    "::1%lo",
    "fe80::1%nowhere",
    "0.0.0.0",
    "256.1.1.1",
    "localhost",
    "/nonexistent",
    "",
  ]);
const bytes = (): number =>
  chance.chance(0.3) ? Number.POSITIVE_INFINITY : chance.chance(0.8) ? chance.between(1, 200_000) : number();

/** Arguments that can be right, for each call; most are made wrong now and then. */
const wellFormed: Record<string, () => unknown[]> = {
  open: () => [() => assert.fail("a second open was taken"), 0],
  submit: () => [chance.chance(0.9) ? chance.below(40) : number(), boolean()],
  listen: () => [descriptors.length > 0 ? chance.pick(descriptors) : -1, boolean(), chance.below(3)],
  closeListener: () => [slot()],
  resumeListener: () => [slot()],
  hasWaiting: () => [slot()],
  connect: () => [chance.chance(0.8) ? "127.0.0.1" : address(), chance.chance(0.8) ? port : number(), chance.below(3)],
  sendFile: () => [
    slot(),
    chance.chance(0.7) ? file : number(),
    number(),
    chance.below(20_000),
    chance.between(1, 20_000),
  ],
  splice: () => [slot(), slot(), bytes()],
  release: () => [slot()],
  originalOf: () => [slot()],
  inspect: () => [],
  bind: () => [
    chance.chance(0.5) ? "127.0.0.1" : address(),
    chance.chance(0.8) ? 0 : number(),
    boolean(),
    boolean(),
    8,
  ],
  nameOf: () => [chance.chance(0.5) ? file : number()],
  originalOfDescriptor: () => [
    descriptors.length > 0 && boolean() ? chance.pick(descriptors) : chance.chance(0.5) ? file : number(),
  ],
  duplicate: () => [descriptors.length > 0 ? chance.pick(descriptors) : -1],
  shareAddress: () => [descriptors.length > 0 && boolean() ? chance.pick(descriptors) : number()],
  closeDescriptor: () => [descriptors.length > 0 && boolean() ? chance.pick(descriptors) : number()],
};
const names = Object.keys(wellFormed);

/** What a call has made has to be known, so that it can be used and closed. */
function note(name: string, args: readonly unknown[], result: unknown): void {
  if (typeof result !== "number" || result < 0) return;
  if (name === "submit" && args[1] === true) noteEvents(result);
  if (name === "connect" || name === "listen") slots.push(result);
  if (name === "release") closeSync(result);
  if (name === "bind" || name === "duplicate") descriptors.push(result);
  const given = descriptors.indexOf(args[0] as number);
  const isGone = name === "closeDescriptor" || (name === "listen" && args[1] === true);
  if (isGone && given >= 0) descriptors.splice(given, 1);
  if (name === "listen" && args[1] === true) owned.add(args[0] as number);
}

function call(name: string, args: readonly unknown[]): unknown {
  calls += 1;
  const run = (addon as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[name]!;
  try {
    const result = run(...args);
    assert.ok(
      typeof result === "number" ? Number.isInteger(result) : result !== undefined,
      `${name}: ${String(result)}`,
    );
    note(name, args, result);
    return result;
  } catch (error) {
    if (!documentedErrors.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    thrown += 1;
    return undefined;
  }
}

function misuse(): void {
  const name = chance.pick(names);
  const args = wellFormed[name]!();
  const isWrong = chance.chance(0.25) && args.length > 0;
  if (isWrong) args[chance.below(args.length)] = boolean() ? number() : chance.pick(oddValues)();
  if (name === "open" && memory === null && typeof args[0] === "function") return;
  // Of what is not ours there is nobody who could close the second one.
  const [first] = args;
  if (name === "duplicate" && typeof first === "number" && !descriptors.includes(first)) return;
  if (name === "closeDescriptor" && owned.has(first as number)) return;
  if (chance.chance(0.05)) args.length = chance.below(args.length + 1);
  if (chance.chance(0.05)) args.push(chance.pick(oddValues)());
  call(name, args);
}

/** Commands of which most are right, and some anything; a table that was taken away takes none, but is submitted. */
function command(): void {
  if (memory === null) return;
  const count = chance.chance(0.99) ? chance.between(1, 30) : COMMANDS_MAX;
  const record = new Int32Array(count * COMMAND_INTS);
  for (let at = 0; at < record.length; at += COMMAND_INTS) {
    const opcode = chance.chance(0.9) ? chance.between(1, 7) | (chance.below(2) << 8) : chance.pick(oddNumbers);
    const offset = chance.chance(0.9) ? chance.below(SEND_BYTES - 3_000) : chance.pick(oddNumbers);
    const length = chance.chance(0.95) ? chance.below(3_000) : chance.pick(oddNumbers);
    record.set([opcode, chance.chance(0.95) ? slot() : chance.pick(oddNumbers), offset, length], at);
  }
  const table = memory.commands;
  table.set(record.subarray(0, table.length));
  call("submit", [count, boolean()]);
}

/** The addon believes nothing that it reads in memory that JavaScript can write. */
function scribble(): void {
  if (memory === null) return;
  const view = memory[chance.pick(["receive", "send", "events", "queued", "received", "sent"] as const)];
  view.fill(chance.pick(oddNumbers), 0, 4096);
}

function listenAnew(): void {
  const descriptor = addon.bind("127.0.0.1", 0, false, false, 128);
  if (descriptor < 0) return;
  port = Number(addon.nameOf(descriptor)?.split(" ")[1]);
  descriptors.push(descriptor);
  call("listen", [descriptor, true, 0]);
}

function close(closing: readonly number[]): void {
  const table = memory!.commands;
  for (const [index, closed] of closing.entries()) {
    call("closeListener", [closed]);
    table.set([DESTROY, closed, chance.below(2), 0], index * COMMAND_INTS);
  }
  call("submit", [closing.length, false]);
}

function closeSome(): void {
  if (memory === null || memory.commands.length === 0 || slots.length < SOCKETS_MAX) return;
  close(slots.splice(0, slots.length / 2));
  if (descriptors.length > 10) for (const descriptor of descriptors.splice(0)) call("closeDescriptor", [descriptor]);
  listenAnew();
}

function step(): void {
  const what = chance.next();
  if (what < 0.6) misuse();
  else if (what < 0.97) command();
  else scribble();
  closeSome();
}

function noteEvents(count: number): void {
  assert.ok(count >= 0 && count <= EVENTS_MAX, `${count} events`);
  const record = memory!.events;
  for (let at = 0; at < Math.min(count * EVENT_INTS, record.length); at += EVENT_INTS) {
    const [kind = 0, told = 0, a = 0, b = 0] = record.subarray(at, at + EVENT_INTS);
    assert.ok(kind >= 1 && kind <= 9 && told >= 0 && told < SLOTS_MAX, `event ${kind} of slot ${told}`);
    if (kind === READ) assert.ok(a >= 0 && b > 0 && a + b <= RECEIVE_BYTES, `read ${a} ${b}`);
    if (kind === ACCEPTED || kind === CONNECTED) slots.push(told);
  }
}

function onEvents(count: number): void {
  batches += 1;
  noteEvents(count);
  for (let steps = chance.below(4); steps > 0; steps--) step();
  if (chance.chance(0.02)) throw new Error("planted");
}

process.on("uncaughtException", (error) => {
  if (error.message !== "planted") {
    console.error(error);
    process.exit(1);
  }
  faults += 1;
});

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

async function runFor(ms: number): Promise<void> {
  for (const end = performance.now() + ms; performance.now() < end; await nextTurn()) {
    for (let steps = 20; steps > 0; steps--) step();
  }
}

// Before it is open.
for (let steps = 2_000; steps > 0; steps--) misuse();
for (const descriptor of descriptors.splice(0)) call("closeDescriptor", [descriptor]);
const before = openDescriptors();

const buffers = Object.entries(addon.open(onEvents, 0, 0, process.env.HEADGATE_TEST_OWNS_THREAD === "1")) as [
  keyof SharedMemory,
  ArrayBuffer,
][];
const viewsOf = (view: (buffer: ArrayBuffer) => Int32Array): Views =>
  Object.fromEntries(buffers.map(([name, buffer]) => [name, view(buffer)])) as Views;
memory = viewsOf((buffer) => new Int32Array(buffer));
listenAnew();
await runFor(forMs * 0.8);

// Whatever was done to it, it gives everything back.
for (let first = 0; addon.inspect().sockets > 0 && first < SLOTS_MAX; first += COMMANDS_MAX) {
  close(Array.from({ length: COMMANDS_MAX }, (_, index) => first + index));
}
for (const descriptor of descriptors.splice(0)) call("closeDescriptor", [descriptor]);
const { sockets, pipes } = addon.inspect();
assert.equal(sockets, 0);
// The epoll set stays, and pipes wait for their next use.
assert.equal(openDescriptors(), before + 1 + 2 * pipes);

// Memory that JavaScript takes away from itself is still the addon's.
listenAnew();
memory = viewsOf(() => new Int32Array(0));
for (const [, buffer] of buffers.splice(0)) buffer.transfer();
globalThis.gc?.();
await runFor(forMs * 0.2);
console.log(`${calls} calls, ${thrown} of them refused, ${batches} batches, ${faults} exceptions`);
process.exit(0);
