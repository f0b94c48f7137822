// The sockets of one thread: their turns, and the records that pass to JavaScript and back.
//
// A turn reads every ready socket once into the receive slab and notes what happened as events; then JavaScript runs over all
// of them, and what it wants done comes back as commands. It decides what is read and sent when; what the bytes mean, it never
// asks. No call blocks but `wait`, and none calls JavaScript but through `deliver`.
//
// Dialled sockets have a queue of their own, and a turn takes as many from each. In one queue with thousands of clients that ask,
// every answer would wait behind all of their requests: nearly all of them would be under way at the same time, each with a
// connection to its upstream, and none near its end. So neither side can starve the other, and what was begun ends soon.
//
// What it stands on: the table of slots, which says what each socket is in the middle of; the record of events; what
// the kernel is asked to watch; and what leaves connections. Reading, commands and what JavaScript asks stay here
// together: each is a few lines between those four, and only all of them say when a slot may be used again and when the
// record is JavaScript's.
#pragma once
#include <cstdint>

#include "connections.h"
#include "descriptor_limit.h"
#include "events.h"
#include "interest.h"
#include "memory.h"
#include "slots.h"
#include "wire.h"

namespace headgate {

class Loop {
 public:
  using Deliver = void (*)(void* context, int32_t events);

  Loop(Deliver deliver, void* context);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // 0, or a negative errno. Descriptors as of DescriptorLimit; `others`, or -1: as of Interest.
  int open(int descriptors_kept, int descriptors_beside_clients, int others);
  int set() const { return interest_.set(); }
  // Slots in use.
  int32_t size() const { return slots_.size(); }
  int32_t pipes() const { return connections_.pipes(); }
  // For sockets that will be connections here.
  DescriptorLimit& limit() { return limit_; }

  // Memory that JavaScript sees as well.
  char* receive() const { return static_cast<char*>(receive_.data()); }
  char* send() const { return static_cast<char*>(send_.data()); }
  int32_t* events() const { return events_.data(); }
  int32_t* commands() const { return static_cast<int32_t*>(commands_.data()); }
  double* queued() const { return slots_.queued(); }
  double* received() const { return slots_.received(); }
  double* sent() const { return slots_.sent(); }

  // As of Interest.
  uint32_t wait(int timeout) { return interest_.wait(timeout); }
  // Of those that were found ready, as many as are one turn's. Whether more are left.
  bool turn();
  // Carries out the first `count` commands. Events that came of it, and of what JavaScript asked before, are put into the
  // record of events when `collect` says that it is free; their number. Otherwise how many are waiting.
  int32_t submit(int32_t count, bool collect);

  // The slot, or a negative errno. An owned descriptor is closed with the listener; not when this fails. Keep-alive probes begin
  // after so much silence; 0: never.
  int32_t listen(int fd, bool owned, int keep_alive_seconds);
  int32_t close_listener(int32_t slot);
  int32_t resume_listener(int32_t slot);
  // 1: somebody waits to be accepted; 0: nobody does.
  int32_t has_waiting(int32_t slot);
  // The slot of a connection that is being made: kConnected or kClosed follow.
  int32_t connect(int fd, int keep_alive_seconds);
  // What the socket takes of it leaves at once. How many events wait, or a negative errno.
  int32_t send_file(int32_t slot, int file, int32_t id, int64_t offset, int64_t length);
  int32_t splice(int32_t from, int32_t to, int64_t bytes);
  // The descriptor, which is the caller's from now on, and of which nothing more is told; or a negative errno: EBUSY while
  // something has not left or is spliced, EAGAIN while events wait that may be the slot's, EBADF when it is closed, and what the
  // connection has failed with.
  int32_t release(int32_t slot);
  // Of an open slot; -1: it is none.
  int descriptor_of(int32_t slot) { return slots_.is_open(slot) ? slots_[slot].fd : -1; }
  // Closes everything and tells nobody.
  void close_all();

 private:
  // A slot that is watched. The descriptor stays the caller's when there is none.
  int32_t add(int fd, State state, Side side);
  void drop_listener(int32_t slot);
  void deliver();

  int read_ready(Side side, int at_most);
  // `budget`: bytes that one connection may move before the others have theirs.
  void handle(int32_t index, uint32_t ready, int64_t budget);
  void accept_from(int32_t index);
  void finish_connect(int32_t index);
  void read_from(int32_t index, uint32_t ready);
  void silent_failure(int32_t index, uint32_t ready);

  int32_t write_commands(int32_t index, int32_t first, int32_t count);

  Deliver deliver_;
  void* context_;
  Mapping receive_;
  Mapping send_;
  Mapping commands_;
  SlotTable slots_;
  EventRecord events_;
  Interest interest_{slots_};
  DescriptorLimit limit_;
  Connections connections_{slots_, events_, interest_, limit_};
  bool is_open_ = false;
  bool in_turn_ = false;
  // Of the receive slab, in this turn, since JavaScript was called last.
  int32_t used_ = 0;
};

}  // namespace headgate
