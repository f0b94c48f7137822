// The record of events, which JavaScript reads, and those that wait for it.
//
// There is one record, and it has one owner at a time. While a turn fills it, what happens is noted there; JavaScript
// has it from `hand_over` on, and what happens meanwhile waits. So does what a full record has no room for, until
// `collect`. In whichever way, nothing is lost, and what one socket has to tell keeps its order as long as nobody lets
// it tell more while events wait: an event that refers to the receive slab must not be noted then, because it would be
// read when the slab holds something else.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

#include "memory.h"
#include "wire.h"

namespace headgate {

class EventRecord {
 public:
  EventRecord() : events_(size_t{kEventsMax} * kEventInts * sizeof(int32_t)) {}

  // False: there was no memory for it.
  bool is_there() const { return events_.data() != nullptr; }
  int32_t* data() const { return static_cast<int32_t*>(events_.data()); }
  // In the record.
  int32_t count() const { return count_; }
  bool any_waits() const { return !waiting_.empty(); }
  int32_t waiting() const { return static_cast<int32_t>(waiting_.size()) / kEventInts; }

  void emit(Event kind, int32_t slot, int32_t a, int32_t b) {
    if (is_filled_ && count_ < kEventsMax) {
      int32_t* event = data() + count_++ * kEventInts;
      event[0] = kind;
      event[1] = slot;
      event[2] = a;
      event[3] = b;
    } else {
      waiting_.insert(waiting_.end(), {kind, slot, a, b});
    }
  }

  // JavaScript has read it: what happens from now on is noted there.
  void fill() { is_filled_ = true; }
  // Puts what waits behind what the record holds, as much as there is room for.
  void collect();
  // How many events JavaScript finds in it.
  int32_t hand_over() {
    is_filled_ = false;
    return std::exchange(count_, 0);
  }

 private:
  Mapping events_;
  std::vector<int32_t> waiting_;
  bool is_filled_ = false;
  int32_t count_ = 0;
};

}  // namespace headgate
