#include "queue.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace headgate {

bool OutputQueue::append(const char* bytes, size_t length) {
  const auto added = static_cast<int64_t>(length);
  if (tail_ != nullptr && tail_->file < 0 && added <= tail_->room - tail_->end) {
    memcpy(tail_->data + tail_->end, bytes, length);
    tail_->end += added;
    return true;
  }
  // Most often what is left of a write is all, and leaves before there is more.
  const size_t room = tail_ == nullptr ? length : std::max(length, kSegmentBytesMin);
  auto* segment = static_cast<Segment*>(malloc(offsetof(Segment, data) + room));
  if (segment == nullptr) return false;
  segment->file = -1;
  segment->start = 0;
  segment->room = static_cast<int64_t>(room);
  segment->end = added;
  memcpy(segment->data, bytes, length);
  link(segment);
  return true;
}

bool OutputQueue::append_file(int file, int32_t id, int64_t offset, int64_t length) {
  auto* segment = static_cast<Segment*>(malloc(sizeof(Segment)));
  if (segment == nullptr) return false;
  segment->file = file;
  segment->file_id = id;
  segment->start = offset;
  segment->end = offset + length;
  link(segment);
  return true;
}

void OutputQueue::pop() {
  Segment* segment = head_;
  head_ = segment->next;
  if (head_ == nullptr) tail_ = nullptr;
  free(segment);
}

void OutputQueue::link(Segment* segment) {
  segment->next = nullptr;
  if (tail_ == nullptr) head_ = segment;
  else tail_->next = segment;
  tail_ = segment;
}

}  // namespace headgate
