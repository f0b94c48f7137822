// The sockets of one thread: two epoll sets, a table of slots, and the records that pass to JavaScript and back.
//
// A turn reads every ready socket once into the receive slab and notes what happened as events; then JavaScript runs over all
// of them, and what it wants done comes back as commands. It decides what is read and sent when; what the bytes mean, it never
// asks. No call blocks, and none calls JavaScript but through `deliver`.
//
// Dialled sockets have a set of their own, and a turn takes as many from each. In one queue with thousands of clients that ask,
// every answer would wait behind all of their requests: nearly all of them would be under way at the same time, each with a
// connection to its upstream, and none near its end. So neither side can starve the other, and what was begun ends soon.
//
// A slot that was closed is used again only when no event that was noted before can still name it.
#pragma once
#include <cstdint>
#include <vector>

#include "memory.h"
#include "pipes.h"
#include "queue.h"
#include "sockets.h"
#include "wire.h"

struct iovec;

namespace headgate {

enum class State : uint8_t { kFree, kListening, kConnecting, kOpen, kClosed };

// Which epoll set a socket is in: listeners with what they accepted, and those that were dialled here.
enum class Side : uint8_t { kAccepted, kDialled };
constexpr Side kSides[] = {Side::kAccepted, Side::kDialled};
constexpr uint32_t bit_of(Side side) { return 1u << static_cast<uint32_t>(side); }

// What is moved between sockets and files, or other sockets, in a turn, shared by those that are ready, and what each may move at
// least: the fewer they are, the longer one goes on before the others are asked for again.
constexpr int64_t kTransferBytesMax = 4 << 20;
constexpr int64_t kTransferBytesMin = 1 << 20;

// Bytes that go from one connection to another without being seen.
struct Splice {
  int32_t from;
  int32_t to;
  // Still to be taken from `from`.
  int64_t left;
  // Holds in_pipe bytes, or is not held at all.
  Pipe pipe;
  int64_t in_pipe;
  // The kernel cannot splice this pair.
  bool copies;
};

struct Slot {
  int fd;
  State state;
  Side side;
  // Of a connection.
  bool paused;
  bool read_ended;
  bool finish_wanted;
  bool finished;
  bool watched;
  // It could not take everything once: whether it can is watched from then on.
  bool blocks;
  // Something that was told was not dealt with to its end.
  bool again;
  // An urgent mark was seen.
  bool urgent;
  // Of a listener.
  bool owned;
  bool suspended;
  bool wildcard;
  bool dirty;
  uint32_t interest;
  // A failure that was noticed while there may still be something to read: told behind that.
  int error;
  // Bytes that were queued when it was noticed.
  int64_t lost;
  OutputQueue queue;
  Splice* outgoing;
  Splice* incoming;
};

class Loop {
 public:
  using Deliver = void (*)(void* context, int32_t events);

  Loop(Deliver deliver, void* context);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // 0, or a negative errno.
  int open();
  int epoll(Side side) const { return epolls_[static_cast<size_t>(side)]; }
  // Slots in use.
  int32_t size() const { return size_; }
  int32_t pipes() const { return pipes_.open(); }

  // Memory that JavaScript sees as well.
  char* receive() const { return static_cast<char*>(receive_.data()); }
  char* send() const { return static_cast<char*>(send_.data()); }
  int32_t* events() const { return static_cast<int32_t*>(events_.data()); }
  int32_t* commands() const { return static_cast<int32_t*>(commands_.data()); }
  // By slot: bytes that the kernel has not taken, and of a splice that begins there, what came and what went.
  double* queued() const { return static_cast<double*>(queued_.data()); }
  double* received() const { return static_cast<double*>(received_.data()); }
  double* sent() const { return static_cast<double*>(sent_.data()); }

  // Of these sets, as bits by their number, some socket is ready.
  void turn(uint32_t sides);
  // Carries out the first `count` commands. Events that came of it, and of what JavaScript asked before, are put into the
  // record of events when `collect` says that it is free; their number. Otherwise how many are waiting.
  int32_t submit(int32_t count, bool collect);

  // The slot, or a negative errno. An owned descriptor is closed with the listener; not when this fails. Keep-alive probes begin
  // after so much silence; 0: never.
  int32_t listen(int fd, bool owned, int keep_alive_seconds);
  int32_t close_listener(int32_t slot);
  int32_t resume_listener(int32_t slot);
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
  int descriptor_of(int32_t slot) const { return is_open(slot) ? slots_[slot].fd : -1; }
  // Closes everything and tells nobody.
  void close_all();

 private:
  Slot& at(int32_t slot) { return slots_[slot]; }
  bool is_open(int32_t slot) const;
  bool is_blocked(const Slot& slot) const;
  bool is_sending(const Slot& slot) const;
  int32_t take_slot(int fd, State state, Side side, uint32_t interest);
  void release_closed();
  void emit(int32_t kind, int32_t slot, int32_t a, int32_t b);
  void collect_pending();
  void deliver();

  void read_ready(Side side);
  void handle(int32_t index, uint32_t ready);
  void accept_from(int32_t index);
  void finish_connect(int32_t index);
  void read_from(int32_t index, uint32_t ready);
  void silent_failure(int32_t index, uint32_t ready);

  int32_t write_commands(int32_t first, int32_t count);
  void write(int32_t index, iovec* parts, int32_t count, bool more);
  void keep(int32_t index, const iovec* parts, int32_t count, size_t skip);
  void flush(int32_t index);
  int64_t flush_file(int32_t index, int64_t budget);
  int64_t flush_bytes(int32_t index);
  void after_flush(int32_t index);
  void finish(int32_t index);

  void step(Splice* splice);
  bool push_out(Splice* splice);
  bool take_in(Splice* splice, int64_t* budget);
  bool copy_in(Splice* splice, int64_t* budget);
  void source_ended(Splice* splice);
  void forget(Splice* splice);

  void write_failed(int32_t index, int error);
  void fail(int32_t index, int error);
  void close_slot(int32_t index, bool reset);

  void touch(int32_t index);
  void ask_again(int32_t index);
  void settle();
  void update_interest(int32_t index);

  Deliver deliver_;
  void* context_;
  int epolls_[2] = {-1, -1};
  Mapping receive_;
  Mapping send_;
  Mapping events_;
  Mapping commands_;
  Mapping queued_;
  Mapping received_;
  Mapping sent_;
  Mapping table_;
  Slot* slots_;
  int32_t size_ = 0;
  // Slots below this have been used at least once.
  int32_t known_ = 0;
  std::vector<int32_t> free_;
  std::vector<int32_t> closed_;
  std::vector<int32_t> dirty_;
  std::vector<int32_t> pending_;
  PipePool pipes_;
  // Of the record of events, while a turn fills it.
  bool collecting_ = false;
  bool is_open_ = false;
  bool in_turn_ = false;
  int32_t count_ = 0;
  int32_t used_ = 0;
  // Sockets that were found ready in this turn, of both sides: JavaScript answers what either set has told.
  int ready_ = 0;
  // What one connection may move in this turn before the others have theirs.
  int64_t transfer_bytes_max_ = kTransferBytesMin;
};

}  // namespace headgate
