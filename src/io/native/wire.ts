/**
 * What JavaScript and the addon have agreed on: the records in shared memory. native/src/wire.h says the same for the other
 * side, and a test compares the two.
 */

/** An addon that speaks another version, or exports something else, is refused. */
export const WIRE_VERSION = 7;

/** One event is four numbers: kind, slot, a, b. */
export const EVENT_INTS = 4;
/** a: offset in the receive slab, b: length */
export const READ = 1;
/** The peer sent FIN. */
export const END = 2;
/** a: errno, 0 for an orderly end; b: 1 when a file is to blame. The slot will be used again, after all that can name it was told. */
export const CLOSED = 3;
/** The kernel has taken everything. */
export const DRAIN = 4;
/** a: offset of the text "IP PORT" or "IP PORT IP PORT" (remote, local), b: length | listener's slot << 8 */
export const ACCEPTED = 5;
/** slot: the listener's, which is suspended; a: errno */
export const ACCEPT_FAILED = 6;
/** a: offset of the text "IP PORT" of our own end, b: length */
export const CONNECTED = 7;
/** slot: where the bytes came from, all of which have passed */
export const SPLICED = 8;
/** a: the number given to sendFile */
export const FILE_SENT = 9;

/** One command is four numbers: opcode | flags << 8, slot, a, b. */
export const COMMAND_INTS = 4;
/** It was taken back. */
export const NOTHING = 0;
/** a: offset in the send slab, b: length */
export const WRITE = 1;
/** a: offset in the receive slab, b: length */
export const FORWARD = 2;
/** FIN behind what is queued; a: 1 to close with it, unless the peer has sent something that is unread. */
export const FINISH = 3;
/** a: 1 for a reset */
export const DESTROY = 4;
export const PAUSE = 5;
export const RESUME = 6;
/** Tell DRAIN when nothing is queued. */
export const WATCH = 7;
/** On WRITE and FORWARD: the same as a WATCH behind it. */
export const FLAG_WATCH = 1;
/** The same: a file follows at once, with which the last of these bytes are to leave. */
export const FLAG_MORE = 2;

export const RECEIVE_BYTES = 1 << 20;
export const SEND_BYTES = 1 << 20;
export const EVENTS_MAX = 1024;
export const COMMANDS_MAX = 4096;
/** Connections and listeners of one thread. Memory is touched only for those that were open at the same time. */
export const SLOTS_MAX = 1 << 20;
