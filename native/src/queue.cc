#include "queue.h"

#include <cstdlib>
#include <cstring>

namespace headgate {

bool OutputQueue::append(const char* bytes, size_t length) {
  auto* segment = static_cast<Segment*>(malloc(offsetof(Segment, data) + length));
  if (segment == nullptr) return false;
  segment->file = -1;
  segment->start = 0;
  segment->end = static_cast<int64_t>(length);
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
