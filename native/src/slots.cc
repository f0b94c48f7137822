#include "slots.h"

#include <cerrno>

namespace headgate {

SlotTable::SlotTable()
    : table_(size_t{kSlotsMax} * sizeof(Slot)),
      queued_(size_t{kSlotsMax} * sizeof(double)),
      received_(size_t{kSlotsMax} * sizeof(double)),
      sent_(size_t{kSlotsMax} * sizeof(double)),
      slots_(static_cast<Slot*>(table_.data())) {}

bool SlotTable::is_there() const {
  for (const Mapping* mapping : {&table_, &queued_, &received_, &sent_}) {
    if (mapping->data() == nullptr) return false;
  }
  return true;
}

int32_t SlotTable::take(int fd, State state, Side side) {
  int32_t index;
  if (!free_.empty()) {
    index = free_.back();
    free_.pop_back();
  } else if (known_ < kSlotsMax) {
    index = known_++;
  } else {
    return -EMFILE;
  }
  Slot& slot = slots_[index];
  slot = Slot{};
  slot.fd = fd;
  slot.state = state;
  slot.side = side;
  queued()[index] = 0;
  size_++;
  return index;
}

void SlotTable::put_back(int32_t slot) {
  slots_[slot].state = State::kFree;
  free_.push_back(slot);
  size_--;
}

void SlotTable::retire(int32_t slot) {
  slots_[slot].fd = -1;
  slots_[slot].state = State::kClosed;
  closed_.push_back(slot);
  size_--;
}

void SlotTable::reuse_closed() {
  for (int32_t slot : closed_) {
    slots_[slot].state = State::kFree;
    free_.push_back(slot);
  }
  closed_.clear();
}

}  // namespace headgate
