// What the kernel is asked to watch: an epoll set, and for each socket what it waits for, which follows from its slot alone. And
// what it has told: a queue for each side.
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

#include "ready_queue.h"
#include "slots.h"

namespace headgate {

// What was waited for, as bits: sockets that are ready, and something else in the thread.
constexpr uint32_t kSockets = 1;
constexpr uint32_t kOthers = 2;

class Interest {
 public:
  explicit Interest(SlotTable& slots) : slots_(slots) {}

  // 0, or a negative errno. With a descriptor that is readable when something else in this thread wants its turn, `wait` waits
  // for the thread; without (-1), others wait on the set.
  int open(int others);
  void close();
  // It is readable while the kernel has something to tell.
  int set() const { return set_; }
  // Until a socket is ready or something else in the thread, `timeout` ms at most (-1: without end), and not at all while sockets
  // are left that were ready before. kSockets, kOthers, or both; kOthers as well when nothing was.
  uint32_t wait(int timeout);
  bool any_ready() const { return !queue_of(Side::kAccepted).empty() || !queue_of(Side::kDialled).empty(); }
  // Slots of those that are ready, at most `max`, until `wait` is called again. What the kernel has told of each is in its slot.
  std::span<const int32_t> take(Side side, int max) { return queue_of(side).take(max); }

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
  void note(int32_t index, uint32_t told);
  uint32_t wanted_of(const Slot& slot) const;
  void update(int32_t index);

  ReadyQueue& queue_of(Side side) { return queues_[static_cast<size_t>(side)]; }
  const ReadyQueue& queue_of(Side side) const { return queues_[static_cast<size_t>(side)]; }

  SlotTable& slots_;
  int set_ = -1;
  ReadyQueue queues_[2];
  std::vector<int32_t> dirty_;
};

}  // namespace headgate
