// What leaves connections, and how they end: bytes that are written, files, splices, the end of a stream, and closing.
//
// What the kernel takes leaves at once; the rest waits in the slot's queue, in order, until the kernel tells that it
// takes more. Bytes that JavaScript does not want to see go from socket to socket through a pipe. A connection that
// fails while the peer may have said something is closed behind what it said.
//
// It is one class in two files (connections.cc, splices.cc) and not two: a splice ends in what the target was to send
// next, a queue that becomes empty lets a splice go on, and whatever fails ends both. It knows nothing of reading or of
// JavaScript: what happens is noted as an event, and what the kernel is to tell is asked of `Interest`.
#pragma once
#include <sys/uio.h>
#include <cstdint>

#include "descriptor_limit.h"
#include "events.h"
#include "interest.h"
#include "pipes.h"
#include "slots.h"

namespace headgate {

class Connections {
 public:
  Connections(SlotTable& slots, EventRecord& events, Interest& interest, DescriptorLimit& limit)
      : slots_(slots), events_(events), interest_(interest), pipes_(limit) {}

  // `more`: something follows at once, with which the last of these bytes are to leave.
  void write(int32_t index, iovec* parts, int32_t count, bool more);
  // What the socket takes of it leaves at once, up to the budget. 0, or a negative errno.
  int send_file(int32_t index, int file, int32_t id, int64_t offset, int64_t length, int64_t budget);
  // Tells kDrain when nothing is queued.
  void watch(int32_t index);
  // The end of the stream leaves behind what is queued. `peer_is_done`: the connection is closed with it, unless something is unread.
  void finish(int32_t index, bool peer_is_done);
  // Sends of what is queued what the kernel takes. `budget`: bytes that one connection may move before the others have
  // theirs.
  void flush(int32_t index, int64_t budget);

  // 0, or a negative errno.
  int splice(int32_t from, int32_t to, int64_t bytes);
  // Moves on what can be.
  // `is_all`: what is there to be read has no end or failure behind it.
  void step(Splice* splice, int64_t budget, bool is_all = false);
  // Open ones.
  int32_t pipes() const { return pipes_.open(); }

  // The descriptor, which is the caller's from now on; or a negative errno, as `Loop::release` says.
  int release(int32_t index);
  // Something was read, and there may be more: the kernel is to tell once more. Where a send has failed, and nothing is left to be
  // read, that is told now: the kernel might never tell of it.
  void read_on(int32_t index);
  // Told with this error: 0 is an orderly end.
  void fail(int32_t index, int error);
  // Nobody is told.
  void close(int32_t index, bool reset);
  // The last of all: no connection is left.
  void close_pipes() { pipes_.close_all(); }

 private:
  void keep(int32_t index, const iovec* parts, int32_t count, size_t skip);
  int64_t flush_file(int32_t index, int64_t budget);
  int64_t flush_bytes(int32_t index);
  void after_flush(int32_t index);
  void end_stream(int32_t index);
  void write_failed(int32_t index, int error);

  bool push_out(Splice* splice);
  bool take_in(Splice* splice, int64_t* budget);
  bool copy_in(Splice* splice, int64_t* budget, size_t at_most);
  void read_failed(int32_t from, int error);
  void source_ended(Splice* splice);
  void forget(Splice* splice);

  SlotTable& slots_;
  EventRecord& events_;
  Interest& interest_;
  PipePool pipes_;
};

}  // namespace headgate
