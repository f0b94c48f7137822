// What the kernel is asked to watch: two epoll sets, and for each socket what it waits for, which follows from its slot
// alone.
//
// Whoever changes a slot in a way that matters touches it; what the kernel is to watch is worked out once, for all that
// were touched, when they are settled. A socket that was paused and resumed meanwhile costs no call.
//
// Connections are watched edge-triggered: the kernel tells what is new and does not look again at every socket that was
// told before. So whoever stops before everything is read, or before everything that was told is dealt with, must
// `ask_again`.
#pragma once
#include <sys/epoll.h>
#include <cstdint>
#include <span>
#include <vector>

#include "slots.h"

namespace headgate {

// Ready sockets that one look at a set gives; beside them, in the set that is waited on, there are two that are none.
constexpr int kReadyMax = 128;
// Among the bits of sides: not a socket is ready, but something else in the thread.
constexpr uint32_t kOthers = 1u << 2;

class Interest {
 public:
  explicit Interest(SlotTable& slots) : slots_(slots) {}

  // 0, or a negative errno. With a descriptor that is readable when something else in this thread wants its turn, `wait` waits
  // for the thread; without (-1), others wait on the sets.
  int open(int others);
  void close();
  // It is readable while one of its sockets is ready.
  int set_of(Side side) const { return sets_[static_cast<size_t>(side)]; }
  // Until a socket is ready or something else in the thread, `timeout` ms at most (-1: without end): the sets with ready
  // sockets as bits, and kOthers, also when nothing was. Of dialled sockets, `ready` gives what was found here.
  uint32_t wait(int timeout);
  // Those that are ready, at most `max`, until it is called again; their slots are in data.u32.
  std::span<const epoll_event> ready(Side side, int max);

  // A socket whose slot was just taken. 0, or a negative errno.
  int add(int32_t slot);
  // Before its descriptor is given away, or while it has another one, which would keep it in the set. 0, or a negative
  // errno.
  int remove(int32_t slot);

  void touch(int32_t index) {
    Slot& slot = slots_[index];
    if (slot.dirty) return;
    slot.dirty = true;
    dirty_.push_back(index);
  }
  // What the kernel has told already, it is to tell once more: as soon as this is read, or written, at all.
  void ask_again(int32_t index) {
    slots_[index].again = true;
    touch(index);
  }
  // The kernel is told of all that was touched.
  void settle();

 private:
  uint32_t wanted_of(const Slot& slot) const;
  void update(int32_t index);

  SlotTable& slots_;
  int sets_[2] = {-1, -1};
  bool waits_ = false;
  epoll_event ready_[kReadyMax + 2];
  // Dialled sockets in `ready_` that were found by waiting.
  size_t found_ = 0;
  std::vector<int32_t> dirty_;
};

}  // namespace headgate
