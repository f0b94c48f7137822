// What the kernel has not taken yet: bytes that were copied, and ranges of files, in order.
#pragma once
#include <cstddef>
#include <cstdint>

namespace headgate {

struct Segment {
  Segment* next;
  // Of a file: its descriptor, which is the caller's, and the number under which the caller is told that it is not needed any
  // more. Otherwise -1.
  int file;
  int32_t file_id;
  int64_t start;  // Offset in `data` or in the file.
  int64_t end;
  int64_t room;  // Bytes that `data` holds at most.
  char data[1];
};

// Behind bytes that wait already come more: they share a piece of memory of at least this size, and one place among those that one
// call hands to the kernel. A peer that does not read, of a sender that gives byte by byte, would otherwise hold fifty times what is
// counted against it.
constexpr size_t kSegmentBytesMin = 4096;

class OutputQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  Segment* head() const { return head_; }
  // Copies. False when there is no memory.
  bool append(const char* bytes, size_t length);
  bool append_file(int file, int32_t id, int64_t offset, int64_t length);
  // Takes the head away, which has been sent.
  void pop();

 private:
  void link(Segment* segment);
  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
};

}  // namespace headgate
