#include "events.h"

#include <algorithm>
#include <cstring>

namespace headgate {

void EventRecord::collect() {
  if (waiting_.empty()) return;
  size_t ints = std::min(waiting_.size(), static_cast<size_t>(kEventsMax - count_) * kEventInts);
  memcpy(data() + count_ * kEventInts, waiting_.data(), ints * sizeof(int32_t));
  count_ += static_cast<int32_t>(ints) / kEventInts;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(ints));
}

}  // namespace headgate
