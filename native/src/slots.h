// The sockets of one thread by number, and the life of a number: free, of a socket, closed, free again.
//
// JavaScript knows sockets by these numbers alone, and may hold events that name one long after its socket is closed.
// So a number that was closed is nobody's until `reuse_closed`, which its owner calls when no such event is left; until
// then commands for it reach nobody. The table knows nothing of the kernel: it neither closes a descriptor nor watches
// one.
#pragma once
#include <cstdint>
#include <vector>

#include "memory.h"
#include "pipes.h"
#include "queue.h"
#include "wire.h"

namespace headgate {

enum class State : uint8_t { kFree, kListening, kConnecting, kOpen, kClosed };

// Listeners with what they accepted, and those that were dialled here.
enum class Side : uint8_t { kAccepted, kDialled };

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
  // What comes at once is short, and costs less to copy than to lead through a pipe.
  bool is_short;
};

struct Slot {
  int fd;
  State state;
  Side side;
  // Of a connection.
  bool paused;
  bool read_ended;
  bool finish_wanted;
  // Then the peer's end is not waited for.
  bool close_wanted;
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
  // Connections may wait in it that were made before its options were set, and have none of them.
  bool has_early;
  bool dirty;
  uint32_t interest;
  // What the kernel has told of it since it had its turn last; not 0: it waits for the next.
  uint32_t told;
  // A failure that was noticed while there may still be something to read: told behind that.
  int error;
  // Bytes that were queued when it was noticed.
  int64_t lost;
  OutputQueue queue;
  Splice* outgoing;
  Splice* incoming;

  // Something waits for the peer to take it.
  bool is_sending() const { return !queue.empty() || (incoming != nullptr && incoming->in_pipe > 0); }
};

class SlotTable {
 public:
  SlotTable();

  // False: there was no memory for it.
  bool is_there() const;
  Slot& operator[](int32_t slot) { return slots_[slot]; }
  // Whatever number it is.
  bool is(State state, int32_t slot) const { return slot >= 0 && slot < known_ && slots_[slot].state == state; }
  bool is_open(int32_t slot) const { return is(State::kOpen, slot); }
  // It has a splice that may take nothing now: its target has not been given all that was taken, or is broken.
  bool is_blocked(const Slot& slot) const {
    const Splice* splice = slot.outgoing;
    if (splice == nullptr) return false;
    const Slot& target = slots_[splice->to];
    return splice->in_pipe > 0 || !target.queue.empty() || target.error != 0;
  }
  // Sockets.
  int32_t size() const { return size_; }
  // Numbers below this have been used at least once.
  int32_t known() const { return known_; }

  // A number for a socket, which has nothing of the one that had it before; or -EMFILE.
  int32_t take(int fd, State state, Side side);
  // It was taken in vain: nobody was told of it.
  void put_back(int32_t slot);
  // Its socket is gone.
  void retire(int32_t slot);
  // Nothing names those that were retired any more.
  void reuse_closed();

  // By slot, for JavaScript to see as well: bytes that the kernel has not taken, and of a splice that begins there,
  // what came and what went. What is left in `queued` of a slot that was retired stays until somebody else has it: that
  // is what was lost.
  double* queued() const { return static_cast<double*>(queued_.data()); }
  double* received() const { return static_cast<double*>(received_.data()); }
  double* sent() const { return static_cast<double*>(sent_.data()); }

 private:
  Mapping table_;
  Mapping queued_;
  Mapping received_;
  Mapping sent_;
  Slot* slots_;
  int32_t size_ = 0;
  int32_t known_ = 0;
  std::vector<int32_t> free_;
  std::vector<int32_t> closed_;
};

}  // namespace headgate
