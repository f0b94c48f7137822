// What this addon and src/io/native/wire.ts have agreed on: the records in shared memory. The two files change together; a
// test compares them.
#pragma once
#include <cstdint>

namespace headgate {

// Raised with every change of what is said here, or of what the addon exports; JavaScript refuses an addon that speaks another version.
constexpr int32_t kWireVersion = 7;

// One event is four numbers: kind, slot, a, b.
constexpr int32_t kEventInts = 4;
enum Event : int32_t {
  kRead = 1,          // a: offset in the receive slab, b: length
  kEnd = 2,           // the peer sent FIN
  kClosed = 3,        // a: errno, 0 for an orderly end; b: 1 when a file is to blame. The slot will be used again.
  kDrain = 4,         // all that was queued has been taken by the kernel
  kAccepted = 5,      // a: offset of the text "IP PORT" or "IP PORT IP PORT" (remote, local), b: length | listener's slot << 8
  kAcceptFailed = 6,  // slot: the listener's, which is suspended; a: errno
  kConnected = 7,     // a: offset of the text "IP PORT" of our own end, b: length
  kSpliced = 8,       // the bytes that were asked for have passed; slot: where they came from
  kFileSent = 9,      // a: the number given to sendFile; slot: may be closed
};

// One command is four numbers: opcode | flags << 8, slot, a, b.
constexpr int32_t kCommandInts = 4;
enum Command : int32_t {
  kNothing = 0,       // it was taken back
  kWrite = 1,         // a: offset in the send slab, b: length
  kForward = 2,       // a: offset in the receive slab, b: length
  kFinish = 3,        // FIN behind what is queued; a: 1 to close with it, unless the peer has sent something that is unread
  kDestroy = 4,       // a: 1 for a reset
  kPause = 5,
  kResume = 6,
  kWatch = 7,         // tell kDrain when nothing is queued
};
// On kWrite and kForward: the same as a kWatch behind it.
constexpr int32_t kFlagWatch = 1;
// The same: a file follows at once, with which the last of these bytes are to leave.
constexpr int32_t kFlagMore = 2;

constexpr int32_t kReceiveBytes = 1 << 20;
constexpr int32_t kSendBytes = 1 << 20;
constexpr int32_t kEventsMax = 1024;
constexpr int32_t kCommandsMax = 4096;
// Connections and listeners of one thread. Memory is touched only for those that were open at the same time.
constexpr int32_t kSlotsMax = 1 << 20;

}  // namespace headgate
