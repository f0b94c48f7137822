// Ready sockets of one side that have not had their turn, by their slots, in the order in which the kernel has told of them.
//
// What it has told stands in the slot, so that a socket is here once, however often it is told of. Where the socket is closed and
// another one has its slot before its turn comes, nothing stands there, or what is true of that one.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace headgate {

class ReadyQueue {
 public:
  bool empty() const { return next_ == slots_.size(); }

  void push(int32_t slot) {
    // What was taken goes when it is as much as what is left, so that each number is moved once on average.
    if (next_ * 2 >= slots_.size()) {
      slots_.erase(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(next_));
      next_ = 0;
    }
    slots_.push_back(slot);
  }

  // The first ones, at most `max`. They are there until the next push.
  std::span<const int32_t> take(int max) {
    const size_t count = std::min(slots_.size() - next_, static_cast<size_t>(max));
    const std::span<const int32_t> taken{slots_.data() + next_, count};
    next_ += count;
    return taken;
  }

 private:
  std::vector<int32_t> slots_;
  size_t next_ = 0;
};

}  // namespace headgate
